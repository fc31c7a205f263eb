// Helper processes take devices back from all who have them open: each of these actions can wait for somebody for ever.

import { dirname } from 'node:path';
import type { NodeClass } from '../core/device.js';
import { ownerOf } from './cgroup.js';
import { HeldUp } from './held-up.js';
import type { Searched } from './helper.js';
import type { Helpers } from './helpers.js';
import type { Limits, Search } from './holders.js';
import { Lanes } from './lanes.js';
import { isOpenStream, streamFiles } from './pcm.js';
import type { Taken, TakenBack } from './take-back.js';

/** So many owners may each hold up one search. */
const mostRounds = 4;
/** An owner that has held up a search is not looked at for so long, ms. */
const grudge = 60_000;
/** Longest description of a PCM stream, bytes; it has some ten short lines. */
const longestInfo = 64 * 1024;
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

  /** `asound`: where the kernel describes sound cards; elsewhere in tests. */
  constructor(
    private readonly helpers: Pick<Helpers, 'ask' | 'holdingUp'>,
    private readonly asound?: string,
  ) {}

  /** Whether something that was asked for the container has not ended, also when nobody waits for it any more. */
  isAtWork = (cgroup: string): boolean => this.lanes.has(ownerBy(cgroup));

  /** Gets the next search ready, while nobody waits for it yet. An error is left to the search. */
  async prepare(cgroup: string | undefined): Promise<void> {
    await this.helpers.ask({ do: 'prepare', owner: ownerBy(cgroup) }).catch(() => undefined);
  }

  /**
   * All processes that have one of the devices open, and all that may have it (`findHolders`). A process that a look does not come
   * back from counts as one that may, and so do all others of its owner.
   */
  search(loss: Loss): Promise<Search> {
    const owner = ownerBy(loss.cgroup);
    return this.rounds(loss, (asked) => this.helpers.ask({ do: 'search', owner, ...asked }));
  }

  /**
   * The same, and all that it finds is made dead, where the kind of node has an ioctl for that. Undefined when somebody keeps the
   * kernel from that: it is not known then what was made dead.
   */
  takeBack(loss: Loss): Promise<Reclaimed | undefined> {
    return unlessHeldUp(this.rounds(loss, (asked) => this.takenBack(loss, asked, false)));
  }

  /**
   * The same, while somebody stands still. `late`: a look does not come back soon, and a `search` is to find out at whose process before
   * it is tried again. `isAgain`: it was tried before, so that the owner of that process is left out from now on.
   */
  async takeBackSoon(loss: Loss, isAgain: boolean): Promise<Reclaimed | 'late' | undefined> {
    try {
      return await unlessHeldUp(this.inTurn(loss, (asked) => this.takenBack(loss, asked, true)));
    } catch (error) {
      if (!(error instanceof HeldUp) || error.culprit === undefined) throw error;
      if (isAgain) this.spared.set(error.culprit, performance.now() + grudge);
      return 'late';
    }
  }

  private takenBack(loss: Loss, asked: Searched, isStill: boolean): Promise<TakenBack & { readonly search: Search }> {
    const request = { do: 'take-back', owner: ownerBy(loss.cgroup), ...asked } as const;
    return this.helpers.ask(request, (taken) => taken, { isStill });
  }

  /**
   * Of nodes of one sound card, by name, the PCM streams that somebody has open; undefined when that cannot be seen, because somebody
   * keeps the kernel from telling.
   */
  async openStreams(nodes: readonly string[]): Promise<string[] | undefined> {
    const files = streamFiles(nodes, this.asound);
    const [first] = files.values();
    if (first === undefined) return [];
    const request = {
      do: 'read-files',
      kind: 'sound',
      owner: dirname(dirname(first)),
      files: [...files.values()],
      limit: longestInfo,
      encoding: 'utf8',
    } as const;
    try {
      const infos = await this.helpers.ask(request);
      return [...files.keys()].filter((_, index) => isOpenStream(infos[index]));
    } catch (error) {
      if (error instanceof HeldUp) return undefined;
      throw error;
    }
  }

  /** Has the driver of a device bound again (`rebind`). */
  rebind(unit: string, kind: NodeClass, cgroup: string | undefined): Promise<string> {
    return this.helpers.ask({ do: 'rebind', owner: ownerBy(cgroup), unit, kind });
  }

  /** Asks once more, without the owner that has held the question up. */
  private async rounds<T>(loss: Loss, ask: (asked: Searched) => Promise<T>): Promise<T> {
    for (let round = 1; ; round++) {
      try {
        return await this.inTurn(loss, ask);
      } catch (error) {
        if (!(error instanceof HeldUp) || error.culprit === undefined || round === mostRounds) throw error;
        this.spared.set(error.culprit, performance.now() + grudge);
      }
    }
  }

  private inTurn<T>({ nodes, limits, keepers, cgroup }: Loss, ask: (asked: Searched) => Promise<T>): Promise<T> {
    return this.lanes.run(ownerBy(cgroup), () => ask({ nodes, limits, keepers, spared: this.sparedNow() }));
  }

  private sparedNow(): string[] {
    for (const [owner, until] of this.spared) if (until < performance.now()) this.spared.delete(owner);
    return [...new Set([...this.spared.keys(), ...this.helpers.holdingUp])];
  }
}

/** For whom the work is done: no two are done at once for one owner. */
const ownerBy = (cgroup: string | undefined): string => (cgroup === undefined ? 'nobody' : ownerOf(cgroup));

/** Undefined where no owner of a process is to blame for the delay. */
async function unlessHeldUp<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof HeldUp) || error.culprit !== undefined) throw error;
    return undefined;
  }
}
