// Helper processes take devices back from all who have them open: each of these actions can wait for somebody for ever.

import type { NodeClass } from '../core/device.js';
import { ownerOf } from './cgroup.js';
import type { Searched } from './helper.js';
import { HeldUp, type Helpers } from './helpers.js';
import type { Limits, Search } from './holders.js';
import { Lanes } from './lanes.js';
import type { Taken, TakenBack } from './take-back.js';

/** So many owners may each hold up one search. */
const mostRounds = 4;
/** An owner that has held up a search is not looked at for so long, ms. */
const grudge = 60_000;
/** So many searches at a time: the first one's trouble is the others' warning. */
const mostAtOnce = 3;

/** Devices that are taken back, and from whom not. */
export interface Loss {
  readonly nodes: readonly Taken[];
  readonly limits: Limits;
  /** The container that loses them; undefined when there is none. */
  readonly cgroup: string | undefined;
  /** Groups of containers that keep the devices: nothing is told or taken of them. */
  readonly keepers: readonly string[];
}

/** The result of a search whose findings were taken back. */
export interface Reclaimed extends TakenBack {
  readonly search: Search;
}

/** Takes devices back. */
export class Reclaim {
  /** Owners whose processes held up a search, and until when they are not looked at, monotonic ms. */
  private readonly spared = new Map<string, number>();
  private readonly lanes = new Lanes(mostAtOnce);

  constructor(private readonly helpers: Pick<Helpers, 'ask' | 'holdingUp'>) {}

  /** Whether something that was asked for the container has not ended, also when nobody waits for it any more. */
  isAtWork = (cgroup: string): boolean => this.lanes.has(accountOf(cgroup));

  /** Gets the next search ready, while nobody waits for it yet. An error is left to the search. */
  async prepare(cgroup: string | undefined): Promise<void> {
    await this.helpers.ask({ do: 'prepare', account: accountOf(cgroup) }).catch(() => undefined);
  }

  /**
   * All processes that have one of the devices open, and all that may have it (`findHolders`). A process that a look does not come
   * back from counts as one that may, and so do all others of its owner.
   */
  search(loss: Loss): Promise<Search> {
    return this.rounds(loss, (asked) => this.helpers.ask({ do: 'search', account: accountOf(loss.cgroup), ...asked }));
  }

  /**
   * The same, and all that it finds is made dead, where the kind of node has an ioctl for that. Undefined when somebody keeps the
   * kernel from that: it is not known then what was made dead.
   */
  async takeBack(loss: Loss): Promise<Reclaimed | undefined> {
    // Two of these that hang leave the searches alone.
    const account = `${accountOf(loss.cgroup)} (taken back)`;
    try {
      return await this.rounds(loss, (asked) => this.helpers.ask({ do: 'take-back', account, ...asked }));
    } catch (error) {
      if (!(error instanceof HeldUp) || error.culprit !== undefined) throw error;
      return undefined;
    }
  }

  /** Has the driver of a device bound again (`rebind`). */
  rebind(unit: string, kind: NodeClass, cgroup: string | undefined): Promise<string> {
    return this.helpers.ask({ do: 'rebind', account: `${accountOf(cgroup)} (bound again)`, unit, kind });
  }

  /** Asks once more, without the owner that has held the question up. */
  private async rounds<T>({ nodes, limits, keepers, cgroup }: Loss, ask: (asked: Searched) => Promise<T>): Promise<T> {
    for (let round = 1; ; round++) {
      try {
        const asked = () => ask({ nodes, limits, keepers, spared: this.sparedNow() });
        return await this.lanes.run(accountOf(cgroup), asked);
      } catch (error) {
        if (!(error instanceof HeldUp) || error.culprit === undefined || round === mostRounds) throw error;
        this.spared.set(error.culprit, performance.now() + grudge);
      }
    }
  }

  private sparedNow(): string[] {
    for (const [owner, until] of this.spared) if (until < performance.now()) this.spared.delete(owner);
    return [...new Set([...this.spared.keys(), ...this.helpers.holdingUp])];
  }
}

/** For whom the work is done: no two are done at once for one container. */
const accountOf = (cgroup: string | undefined): string =>
  cgroup === undefined ? 'devices of nobody' : `devices of ${ownerOf(cgroup)}`;
