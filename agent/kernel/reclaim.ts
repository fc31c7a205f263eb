// Helper processes take devices back from all who have them open: each of these actions can wait for somebody for ever.

import type { DeviceNumber, NodeClass } from '../core/device.js';
import { ownerOf } from './cgroup.js';
import { HeldUp, type Helpers } from './helpers.js';
import type { Holder, Limits, Search } from './holders.js';
import type { Revocable } from './pidfd.js';
import type { TakenBack } from './take-back.js';

/** So many owners may each hold up one search. */
const mostRounds = 4;
/** Who has held up a search is not looked at for so long, ms. */
const grudge = 60_000;

/** Takes devices back. `cgroup`, for all: of the container that loses them; undefined when there is none. */
export class Reclaim {
  /** Owners whose processes held up a search, and until when they are not looked at, monotonic ms. */
  private readonly spared = new Map<string, number>();

  constructor(private readonly helpers: Pick<Helpers, 'ask' | 'holdingUp'>) {}

  /** Gets the next search ready, while nobody waits for it yet. An error is left to the search. */
  async prepare(cgroup: string | undefined): Promise<void> {
    await this.helpers.ask({ do: 'prepare', account: accountOf(cgroup) }).catch(() => undefined);
  }

  /**
   * All processes that have one of the devices open, and all that may have it (`findHolders`). A process that a look does not come
   * back from counts as one that may, and so do all others of its owner.
   */
  async search(numbers: readonly DeviceNumber[], limits: Limits, cgroup: string | undefined): Promise<Search> {
    for (let round = 1; ; round++) {
      try {
        const spared = this.sparedNow();
        return await this.helpers.ask({ do: 'search', account: accountOf(cgroup), numbers, limits, spared });
      } catch (error) {
        if (!(error instanceof HeldUp) || round === mostRounds) throw error;
        this.spared.set(error.owner, performance.now() + grudge);
      }
    }
  }

  /** Makes open files of one device dead. Rejects with `HeldUp` when somebody keeps the kernel from it. */
  takeBack(holders: readonly Holder[], by: Revocable, cgroup: string | undefined): Promise<TakenBack> {
    return this.helpers.ask({ do: 'take-back', account: accountOf(cgroup), holders, by });
  }

  /** Has the driver of a device bound again (`rebind`). */
  rebind(unit: string, kind: NodeClass, cgroup: string | undefined): Promise<string> {
    return this.helpers.ask({ do: 'rebind', account: accountOf(cgroup), unit, kind });
  }

  private sparedNow(): string[] {
    for (const [owner, until] of this.spared) if (until < performance.now()) this.spared.delete(owner);
    return [...new Set([...this.spared.keys(), ...this.helpers.holdingUp])];
  }
}

/** For whom the work is done: no two are done at once for one container. */
const accountOf = (cgroup: string | undefined): string =>
  cgroup === undefined ? 'devices of nobody' : `devices of ${ownerOf(cgroup)}`;
