import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { setImmediate as otherEvents } from 'node:timers/promises';
import type { Logger } from 'pino';
import {
  hasMoreThanItsPart,
  isAmple,
  keptMemory,
  memoryToShare,
  scoreBack,
  scoreFor,
  scores,
} from '../core/kill-order.js';
import { type ContainerRef, isSameContainer, type Policy } from '../core/policy.js';
import type { Container } from '../engines/engine.js';
import { pidsBelow } from '../engines/process.js';
import { readGroup } from '../kernel/group-files.js';
import { adjustOomScore, oomScoreOf, type WantedScore } from '../kernel/oom-score.js';
import { pidOf } from '../kernel/process-key.js';
import type { RecordFile } from '../kernel/record-file.js';
import { FormerScores } from './former-scores.js';

export interface KillOrderDeps {
  /** Mount point of the cgroup2 hierarchy. */
  readonly root: string;
  readonly log: Logger;
  /** Values of processes before ours, as `FormerScores` keeps them. */
  readonly record: RecordFile<number>;
}

/** How often it is looked how much memory the seats have, ms: while most of it is free, and while it is not. */
const lookEvery = { isAmple: 30_000, isScarce: 2000 } as const;

/** So many processes of a seat are gone through at a time, and so many of them before other events have their turn. */
const limit = { processes: 5000, atOnce: 50 } as const;

/** A child that was forked meanwhile is in the next list; a seat that forks without end is not waited for. */
const rounds = 4;

/**
 * Whom the kernel ends when the memory of the PC is used up: programs of seats before any of the host's or of engines, and
 * among the seats first those of the seat that has more than its even part. Nothing is limited by that, and nobody is
 * ended while there is memory.
 */
export class KillOrder {
  private seats: readonly { readonly container: ContainerRef }[] | undefined;
  private containers: readonly Container[] | undefined;
  private readonly former: FormerScores;
  /** Keys of containers that have more than their part. */
  private readonly first = new Set<string>();
  private readonly failed = new Map<string, string>();
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  /** The keys of the containers of the last run, and when it began, monotonic ms. */
  private done = '';
  private doneAt = Number.NEGATIVE_INFINITY;
  private again = false;

  constructor(private readonly deps: KillOrderDeps) {
    this.former = new FormerScores(deps.record);
  }

  /** Takes a new policy. */
  adopt({ seats }: Pick<Policy, 'seats'>): void {
    this.seats = seats;
    this.runUnlessDone();
  }

  /** Takes in which containers run now. */
  populate(containers: readonly Container[]): void {
    this.containers = containers;
    this.runUnlessDone();
  }

  /** Whether a container's programs would be ended before those of all others. */
  isFirst = ({ key }: Pick<Container, 'key'>): boolean => this.first.has(key);

  /** Goes through the processes of all seats; one run at a time, and once more when something has changed meanwhile. */
  async run(): Promise<void> {
    // An agent that has just started does not know yet whose record is whose.
    if (this.seats === undefined || this.containers === undefined) return;
    this.again = true;
    this.running ??= this.runs().finally(() => {
      this.running = undefined;
    });
    await this.running;
  }

  /** Puts everything back, as if there had been no agent. Throws when that failed somewhere. */
  async putBack(): Promise<void> {
    this.seats = [];
    await this.run();
    const [why] = this.failed.values();
    if (why !== undefined) throw new Error(`oom_score_adj was not put back: ${why}`);
  }

  close(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.seats = undefined;
  }

  /** Looks are many where somebody makes groups without end, and one of them is enough for the same containers. */
  private runUnlessDone(): void {
    const now = performance.now();
    const containers = this.ofSeats()
      .map(({ key }) => key)
      .join();
    if (containers === this.done && now - this.doneAt < lookEvery.isAmple) return;
    this.done = containers;
    this.doneAt = now;
    // Devices come first. After a failure the next look tries again.
    setImmediate(() => {
      this.run().catch((error: Error) => {
        this.doneAt = Number.NEGATIVE_INFINITY;
        this.deps.log.error({ err: error }, 'oom_score_adj not set');
      });
    });
  }

  private async runs(): Promise<void> {
    while (this.again && this.seats !== undefined) {
      this.again = false;
      this.measure();
      await this.runOnce();
    }
    this.watch();
  }

  /** With fewer than two seats, nobody has more than an even part. */
  private watch(): void {
    if (this.timer !== undefined || this.ofSeats().length < 2) return;
    this.timer = setTimeout(
      () => {
        this.timer = undefined;
        this.lookAgain();
      },
      isAmple(readMeminfo()) ? lookEvery.isAmple : lookEvery.isScarce,
    ).unref();
  }

  private lookAgain(): void {
    try {
      if (this.measure()) this.doneAt = Number.NEGATIVE_INFINITY;
      this.runUnlessDone();
    } catch (error) {
      this.deps.log.error({ err: error }, 'memory of seats not measured');
    }
    this.watch();
  }

  /** Containers of seats. While an engine sets one up, it may still have to say what its init has. */
  private ofSeats(): Container[] {
    const references = (this.seats ?? []).map(({ container }) => container);
    return (this.containers ?? []).filter(
      (one) => one.state !== 'setup' && references.some((reference) => isSameContainer(one, reference)),
    );
  }

  /** Looks how much memory each has; whether that makes another order. */
  private measure(): boolean {
    const { root, log } = this.deps;
    const containers = this.ofSeats();
    const before = [...this.first].join();
    for (const key of this.first) if (!containers.some((one) => one.key === key)) this.first.delete(key);
    const part = containers.length < 2 ? Number.POSITIVE_INFINITY : memoryToShare(readMeminfo()) / containers.length;
    for (const { key, name, cgroup } of containers) {
      const files = readGroup(root, posix.relative(root, cgroup), ['memory.stat', 'memory.swap.current'])?.texts;
      const used = keptMemory(files?.get('memory.stat') ?? '', files?.get('memory.swap.current'));
      const isFirst = hasMoreThanItsPart(used, part, this.first.has(key));
      if (isFirst === this.first.has(key)) continue;
      if (isFirst) this.first.add(key);
      else this.first.delete(key);
      log.info(
        { container: name, usedBytes: used, evenBytes: part, endsFirst: isFirst },
        'more than its part of the memory',
      );
    }
    return [...this.first].join() !== before;
  }

  private async runOnce(): Promise<void> {
    const wanted = this.ofSeats();
    const containers = this.containers ?? [];
    for (const container of wanted) {
      const now = this.former.of(container.key) ?? oomScoreOf(container.pid);
      if (now === undefined) continue;
      this.former.note(container.key, new Map([[container.key, now]]));
      const seat = this.first.has(container.key) ? scores.first : scores.seat;
      await this.goThrough(container, (one) => scoreFor(one, seat));
    }
    const done: string[] = [];
    for (const key of this.former.inits()) {
      if (wanted.some((one) => one.key === key)) continue;
      const container = containers.find((one) => one.key === key);
      const before: WantedScore = (one, process) => scoreBack(one, this.former.of(key, process) ?? one);
      if (container !== undefined) await this.goThrough(container, before);
      if (container === undefined || !this.failed.has(key)) done.push(key);
    }
    this.former.forget(done);
    for (const key of this.failed.keys()) if (!containers.some((one) => one.key === key)) this.failed.delete(key);
  }

  private async goThrough(container: Container, wanted: WantedScore): Promise<void> {
    const { pid, key, cgroup, name } = container;
    try {
      for (let round = 0, changed = -1; round < rounds && changed !== 0; round++) {
        changed = 0;
        const others: number[] = [];
        const former = new Map<string, number>();
        const look: WantedScore = (now, process) => {
          if (wanted(now, process) === now) return now;
          others.push(pidOf(process));
          if (now < scores.seat) former.set(process, now);
          return now;
        };
        // Its init first: everything that it forks from then on has the same value.
        for (const one of [pid, ...pidsBelow(cgroup, limit.processes)].entries()) await this.inTurn(one, cgroup, look);
        this.former.note(key, former);
        for (const one of others.entries()) if (await this.inTurn(one, cgroup, wanted)) changed += 1;
      }
      this.failed.delete(key);
    } catch (error) {
      const { message } = error as Error;
      if (this.failed.get(key) !== message)
        this.deps.log.warn({ container: name, err: error }, 'oom_score_adj not set');
      this.failed.set(key, message);
    }
  }

  private async inTurn([at, pid]: readonly [number, number], cgroup: string, wanted: WantedScore): Promise<boolean> {
    if (at % limit.atOnce === limit.atOnce - 1) await otherEvents();
    return adjustOomScore(pid, cgroup, wanted);
  }
}

const readMeminfo = (): string => readFileSync('/proc/meminfo', 'utf8');
