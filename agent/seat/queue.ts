import { grouped } from '../core/grouped.js';
import { type Scope, united } from '../core/scope.js';

/** Back-off after a failed run, ms: first, and the longest. */
const retry = { first: 200, longest: 30_000 };

/** A fault in a run. `key`: the key that it is about; undefined: it is about all of them. */
export interface Failure {
  readonly error: Error;
  readonly key?: string | undefined;
}

export interface Work {
  /** Does what is to be done about these keys; returns what failed, also about other keys that depend on them. */
  readonly run: (scope: Scope) => Promise<readonly Failure[]>;
  /**
   * Told of each run that is over: what failed in it, what has failed and not succeeded since, and in how many ms at the latest `again`
   * is called because of that.
   */
  readonly over: (failures: readonly Error[], outstanding: readonly Error[], retryMs: number) => void;
  /** Time to try again after a failure. */
  readonly again: () => void;
}

/** The faults of one key in its last run. */
interface Fault {
  readonly errors: readonly Error[];
  readonly delay: number;
  /** When it is to be tried again, monotonic ms. */
  readonly due: number;
}

/**
 * Keys of which something may have changed. Runs never overlap: what is asked for meanwhile is gathered for the next run.
 * After a failure it is tried again, later each time until a run with that key succeeds; other keys change nothing about that.
 */
export class Queue {
  private running: Promise<void> | undefined;
  /** When the run that is under way began, monotonic ms. */
  private began: number | undefined;
  /** The keys of the next run. */
  private pending: Scope | undefined;
  private readonly faults = new Map<string | undefined, Fault>();
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
        this.conclude(scope, await this.work.run(scope).catch((error: Error) => [{ error }]));
      }
    } finally {
      // In the very instant of the last look at `pending`: keys that come after it start a run of their own.
      this.running = undefined;
      this.began = undefined;
    }
  }

  private conclude(scope: Scope, failures: readonly Failure[]): void {
    const now = performance.now();
    const failed = grouped(failures, ({ key }) => key);
    for (const key of this.faults.keys()) {
      // That these keys are as they must be tells nothing of others.
      const isTried = scope === 'all' || (key !== undefined && scope.has(key));
      if (isTried && !failed.has(key)) this.faults.delete(key);
    }
    for (const [key, those] of failed) {
      const former = this.faults.get(key);
      const delay = former === undefined ? retry.first : Math.min(former.delay * 2, retry.longest);
      this.faults.set(key, { errors: those.map(({ error }) => error), delay, due: now + delay });
    }
    const faults = [...this.faults.values()];
    const left = faults.length === 0 ? 0 : Math.max(0, Math.min(...faults.map(({ due }) => due)) - now);
    this.tryAgain(left);
    this.work.over(
      failures.map(({ error }) => error),
      faults.flatMap(({ errors }) => errors),
      left,
    );
  }

  private tryAgain(ms: number): void {
    clearTimeout(this.timer);
    if (this.closed || this.faults.size === 0) return;
    this.timer = setTimeout(() => this.work.again(), ms).unref();
  }
}
