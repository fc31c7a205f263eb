import { type Scope, united } from '../core/scope.js';

/** Back-off after a failed run, ms: first, and the longest. */
const retry = { first: 200, longest: 30_000 };

export interface Work {
  /** Does what is to be done about these keys; returns what failed. */
  readonly run: (scope: Scope) => Promise<readonly Error[]>;
  /**
   * Told of each run that is over: what failed in it, and in how many ms `again` is called because of that. Not told of a success
   * with some keys while others are to be tried again.
   */
  readonly over: (failures: readonly Error[], retryMs: number) => void;
  /** Time to try again after a failure. */
  readonly again: () => void;
}

/**
 * Keys of which something may have changed. Runs never overlap: what is asked for meanwhile is gathered for the next run.
 * After a failure it is tried again, later each time until a run succeeds.
 */
export class Queue {
  private running: Promise<void> | undefined;
  /** When the run that is under way began, monotonic ms. */
  private began: number | undefined;
  /** The keys of the next run. */
  private pending: Scope | undefined;
  private backoff = 0;
  private timer: NodeJS.Timeout | undefined;
  private closed = false;

  constructor(private readonly work: Work) {}

  /** Runs soon; the promise settles when the run that takes these keys into account is over. */
  add(scope: Scope): Promise<void> {
    if (this.closed) return Promise.resolve();
    this.pending = this.pending === undefined ? scope : united(this.pending, scope);
    if (this.running !== undefined) return this.running;
    this.running = this.runAll();
    return this.running;
  }

  /** For how long the run that is under way has taken until now, ms; undefined while none is. */
  get busyMs(): number | undefined {
    return this.began === undefined ? undefined : performance.now() - this.began;
  }

  /** Settles when nothing is under way any more. Nothing begins after it. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.timer);
    await this.running;
  }

  private async runAll(): Promise<void> {
    try {
      for (let scope = this.pending; scope !== undefined && !this.closed; scope = this.pending) {
        this.pending = undefined;
        this.began = performance.now();
        this.conclude(scope, await this.work.run(scope).catch((error: Error) => [error]));
      }
    } finally {
      // In the very instant of the last look at `pending`: keys that come after it start a run of their own.
      this.running = undefined;
      this.began = undefined;
    }
  }

  private conclude(scope: Scope, failures: readonly Error[]): void {
    if (failures.length === 0 && scope !== 'all' && this.timer !== undefined) {
      // That these keys are as they must be tells nothing of the others, which failed: soon it is known.
      if (this.backoff > retry.first) this.tryAgain(retry.first);
      return;
    }
    const delay = this.backoff === 0 ? retry.first : this.backoff * 2;
    this.backoff = failures.length === 0 ? 0 : Math.min(delay, retry.longest);
    this.work.over(failures, this.backoff);
    if (failures.length > 0) this.tryAgain(this.backoff);
  }

  private tryAgain(ms: number): void {
    this.backoff = ms;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.work.again();
    }, ms).unref();
  }
}
