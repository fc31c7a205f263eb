import { setTimeout as sleep } from 'node:timers/promises';

/** Between the beginnings of two looks, ms. */
const gapMs = 200;

/**
 * A look at something that changes, shared by all who ask for one at a time, and taken five times a second at most.
 * Each answer is from a look after its question.
 */
export class SharedLook {
  private next: Promise<void> | undefined;
  private last = Number.NEGATIVE_INFINITY;

  constructor(private readonly look: () => void) {}

  /** Settles after a look that began after this call; rejects when that look failed. */
  taken(): Promise<void> {
    this.next ??= sleep(Math.max(0, this.last + gapMs - performance.now())).then(() => {
      this.next = undefined;
      this.last = performance.now();
      this.look();
    });
    return this.next;
  }
}
