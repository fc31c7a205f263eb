/** A seat that asks for leases without end gets one this often, ms. */
export const restMs = 200;

/** Turns for somebody who may ask without end: the first is at once, and none comes sooner than `restMs` after the one before. */
export class Pace {
  private lastMs = 0;

  constructor(private readonly restMs: number) {}

  /** Takes the next turn; how long it is until then, ms. */
  next(): number {
    const now = performance.now();
    this.lastMs = Math.max(now, this.lastMs + this.restMs);
    return this.lastMs - now;
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
