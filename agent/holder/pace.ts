/** A seat that asks for leases without end gets one this often, ms. */
export const restMs = 200;

/**
 * Turns for somebody who may ask without end: the first is at once, and none comes sooner than `restMs` after the one before. Who asks
 * and goes takes no turn from those behind him.
 */
export class Pace {
  private last: Promise<unknown> = Promise.resolve();
  private freeAt = 0;

  constructor(private readonly restMs: number) {}

  /** Settles when the turn has come, with whether somebody still waits for it, as `isAwaited` says. */
  turn(isAwaited: () => boolean): Promise<boolean> {
    const turn = this.last.then(() => this.take(isAwaited));
    this.last = turn;
    return turn;
  }

  private async take(isAwaited: () => boolean): Promise<boolean> {
    if (!isAwaited()) return false;
    const wait = this.freeAt - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    if (!isAwaited()) return false;
    this.freeAt = performance.now() + this.restMs;
    return true;
  }
}

/** A store of something that may be asked for: it is full at first, and so often gets one more, ms. */
export class Ration {
  private readonly fullAt: number[] = [];

  constructor(
    private readonly most: number,
    private readonly eachMs: number,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Takes one; whether there was one. */
  take(): boolean {
    const now = this.now();
    while ((this.fullAt[0] ?? now + 1) <= now) this.fullAt.shift();
    if (this.fullAt.length >= this.most) return false;
    this.fullAt.push(Math.max(now, this.fullAt.at(-1) ?? now) + this.eachMs);
    return true;
  }
}
