import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { type Observable, Subject } from 'rxjs';
import { type ChildMessage, overrunStatus, type RawEvent } from './messages.js';

/**
 * Events for the pipeline: a message of udevd, or word that messages may be missing and everything must be read again.
 */
export type UdevMessage =
  | { readonly kind: 'event'; readonly event: RawEvent }
  | { readonly kind: 'resync'; readonly reason: 'start' | 'overrun' | 'child-died' };

/** Waits before the udev process is started again, ms: none at first, longer when it dies again and again. */
const backoff = [0, 100, 200, 400, 800, 1600, 5000];
/** It has recovered when it has lived this long, ms. */
const healthy = 10_000;
/** It is asked this often whether it is still there, and replaced when it has not answered by the next time, ms. */
const askEvery = 30_000;

/**
 * node-udev in a supervised child process. A `resync` is said only once a new child listens, so that the next
 * enumeration and the new messages overlap, and nothing falls between.
 */
export class UdevSource {
  private readonly subject = new Subject<UdevMessage>();
  readonly messages: Observable<UdevMessage> = this.subject;
  readonly stats = { events: 0, overruns: 0, restarts: 0 };
  private child: ChildProcess | undefined;
  private stopped = false;
  private deaths = 0;
  private heardAt = performance.now();
  /** `asked`: it owes an answer. A child that starts is not asked yet: loading it takes seconds on a busy machine. */
  private state: 'starting' | 'listening' | 'asked' = 'starting';
  private timer: NodeJS.Timeout | undefined;

  /** `askEvery`: how often the process is asked whether it is still there, ms. */
  constructor(private readonly deps: { readonly log: Logger; readonly askEvery?: number }) {}

  /** Pid of the child that listens now. */
  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Since a udev process has last been heard of, ms; it is heard of at least every 30 s. */
  get silentMs(): number {
    return performance.now() - this.heardAt;
  }

  /** Whether a udev process listens now. */
  get isListening(): boolean {
    return this.child?.connected === true && this.state !== 'starting';
  }

  /** Settles when the first child listens and its `resync` has been said. */
  start(): Promise<void> {
    this.timer = setInterval(() => this.askWhetherAlive(), this.deps.askEvery ?? askEvery).unref();
    return new Promise((resolve) => this.spawn('start', resolve));
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
    // A signal, because closing its monitor would crash it.
    this.child?.kill('SIGKILL');
    this.subject.complete();
  }

  /** A process that hangs counts as dead: it is ended, and another takes its place. */
  private askWhetherAlive(): void {
    const { child } = this;
    if (child?.connected !== true || this.state === 'starting') return;
    if (this.state === 'asked') {
      this.deps.log.warn({ pid: child.pid }, 'udev process does not answer');
      child.kill('SIGKILL');
      return;
    }
    this.state = 'asked';
    // The end of a child is an event of its own.
    child.send('still there?', () => undefined);
  }

  private spawn(reason: 'start' | 'overrun' | 'child-died', listening?: () => void): void {
    const born = Date.now();
    let heard = false;
    let ended = false;
    const child = fork(fileURLToPath(new URL('./udev-child.js', import.meta.url)), [], {
      execArgv: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.child = child;
    this.state = 'starting';
    child.on('message', (message: ChildMessage) => {
      // Messages of a dead child may be read from the pipe only after its successor's resync: a device that has gone
      // would come back as a ghost. The resync knows better.
      if (this.stopped || ended) return;
      this.heardAt = performance.now();
      switch (message.kind) {
        case 'listening':
          heard = true;
          this.state = 'listening';
          this.subject.next({ kind: 'resync', reason });
          listening?.();
          return;
        case 'events':
          this.stats.events += message.events.length;
          for (const event of message.events) this.subject.next({ kind: 'event', event });
          return;
        case 'here':
          this.state = 'listening';
          return;
      }
    });
    const end = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (this.stopped || ended) return;
      ended = true;
      const why = code === overrunStatus ? 'overrun' : 'child-died';
      if (why === 'overrun') {
        this.stats.overruns += 1;
        this.deps.log.warn('udev messages were lost; reading everything again');
      }
      this.deaths = why === 'overrun' || Date.now() - born > healthy ? 0 : this.deaths + 1;
      this.stats.restarts += 1;
      const wait = backoff[Math.min(Math.max(this.deaths - 1, 0), backoff.length - 1)] ?? 0;
      if (why === 'child-died') this.deps.log.warn({ code, signal, restartMs: wait }, 'udev process died');
      setTimeout(() => {
        // Nobody has been told of the start before the first child listens.
        if (!this.stopped) this.spawn(heard ? why : reason, listening);
      }, wait);
    };
    child.on('exit', end);
    child.on('error', (error) => {
      this.deps.log.error({ err: error }, 'udev process');
      // A process that could not be started has no pid and never exits (child_process, event 'error').
      if (child.pid === undefined) end(null, null);
    });
  }
}
