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
