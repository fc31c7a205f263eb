import { type ChildProcess, fork } from 'node:child_process';
import { closeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cgroupOf, ownerOf } from './cgroup.js';
import { SysError } from './errors.js';
import { HeldUp } from './held-up.js';
import type { Answer, Request, Results } from './helper.js';
import { type Reader, ReadPlaces } from './read-places.js';
import { makePlace, readPlace, type Whereabouts } from './whereabouts.js';

/** Longest that a helper may take to load its program, ms; on an emulated or busy machine that is many seconds. */
const startLimit = 90_000;
/**
 * A question that has waited this long for a helper gets another helper, ms. Where helpers start slowly, twice that
 * time.
 */
const shortestPatience = 500;
/** A second helper that nobody needed for so long is ended, ms. */
const spareLimit = 10_000;
/**
 * The last helper ends too when nobody has needed it for so long, ms: containers are looked at every 30 s while any
 * runs.
 */
const idleLimit = 70_000;
/** So often is looked whether a helper that has not answered gets on, ms. */
const lookEvery = 250;
/** Limits: helpers of one owner that hang, at one kind of work and in all; and helpers in all but those that hang at a read. */
const most = { hangingAtOne: 2, hangingOfOne: 3, ofAll: 8 };
/** Longest that the kernel may take to give out a few of its own files, ms. */
const readLimit = 3000;
/** Of an answer's limit, a look at one process may take this part while somebody stands still. */
const part = 1 / 5;

/**
 * `look`: at one process; `search`: at all of them; `deed`: something that the kernel can refuse to end; `read`: of files of the
 * kernel's own.
 */
type Work = 'look' | 'search' | 'deed' | 'read';

/** How long an answer may take. */
export interface AnswerTime {
  /** Somebody stands still until the answer: a look at one process may take less then. */
  readonly isStill?: boolean;
  /** The longest time, ms, where that for all others would be `usual`. It is asked again and again. */
  readonly longest?: (usual: number) => number;
}

/** An owner's helper that hangs. `reader`: the place that it has, of one that reads. */
interface Hanging {
  readonly owner: string;
  readonly work: Work;
  readonly reader?: Reader | undefined;
}

/**
 * Processes that look at files of others, act in their namespaces, and take devices back from them. Each does one thing at a
 * time. A file system in user space (FUSE) can hold a process that looks at it, for ever and against SIGKILL. A held thread is
 * lost and keeps its process from ending; a helper that does not answer in time is killed, and another takes its place. If it
 * does not die, it counts against the owner of the process that it looked at: an owner who holds too many is not looked at any
 * more. None is in the group of the agent's service, whose end it could hold up.
 */
export class Helpers {
  /** All helpers that have not ended, busy or not. */
  private readonly living = new Set<ChildProcess>();
  private readonly starting = new Set<ChildProcess>();
  private readonly idle: ChildProcess[] = [];
  /** Those that are not waited for any more, and because of whom. */
  private readonly hanging = new Map<ChildProcess, Hanging>();
  /** How much is asked about each owner just now, searches left aside. */
  private readonly underWay = new Map<string, number>();
  private readonly places = new ReadPlaces();
  /** Those that bind a driver again. */
  private readonly binding = new Set<ChildProcess>();
  /** Where each says what it is at. */
  private readonly whereabouts = new Map<ChildProcess, number>();
  /** Each ends the wait for one answer. */
  private readonly asking = new Set<() => void>();
  /** Called when a helper has become idle, or has ended. */
  private readonly waiting = new Set<() => void>();
  /** The last thing of its kind that was asked about each owner. */
  private readonly turns = new Map<string, Promise<unknown>>();
  /** Nothing is asked any more. */
  private closed = false;
  private idleTimer: NodeJS.Timeout | undefined;
  private patience = shortestPatience;

  /**
   * `limit`: longest that an answer may take, ms. It is a few system calls, unless somebody's file system holds them.
   * `unneeded`: the last helper is ended when it had nothing to do for so long, ms.
   */
  constructor(
    private readonly limit = 10_000,
    private readonly unneeded = idleLimit,
  ) {}

  /** Starts a helper before it is needed: loading it is the slow part. */
  async start(): Promise<void> {
    this.release(await this.helper());
  }

  /** Owners of processes at which a look does not end. */
  get holdingUp(): string[] {
    return [...new Set([...this.hanging.values()].flatMap(({ owner, work }) => (work === 'look' ? owner : [])))];
  }

  /**
   * Has a helper answer. Questions of one kind about one owner (`ownerOf`) are done one after the other.
   * Questions about other owners do not wait for them. `take` is handed the answer and the helper's pid before that does
   * anything else. Rejects with `HeldUp` when the answer takes too long. A helper that says meanwhile where it is takes as long as
   * it needs.
   */
  async ask<R extends Request, T = Results[R['do']]>(
    request: R,
    take: (result: Results[R['do']], helper: number) => T = (result) => result as T,
    time: AnswerTime = {},
  ): Promise<T> {
    const owner = 'process' in request ? ownerAt(request.process.pid) : request.owner;
    const kind = `${laneOf(request)} ${owner}`;
    const before = this.turns.get(kind) ?? Promise.resolve();
    const turn = before.catch(() => undefined).then(() => this.perform(owner, request, take, time));
    this.turns.set(kind, turn);
    try {
      return await turn;
    } finally {
      if (this.turns.get(kind) === turn) this.turns.delete(kind);
    }
  }

  /** Ends all helpers, for good: open questions are refused at once. */
  close(): void {
    this.closed = true;
    for (const child of this.living) {
      if (this.binding.has(child)) child.disconnect();
      else child.kill('SIGKILL');
    }
    for (const refuse of [...this.asking]) refuse();
    this.places.close();
    this.wake();
  }

  private async perform<R extends Request, T>(
    owner: string,
    request: R,
    take: (result: Results[R['do']], helper: number) => T,
    time: AnswerTime,
  ): Promise<T> {
    const reader = request.do === 'read-files' ? await this.places.enter(request.kind, owner) : undefined;
    const done = reader === undefined ? this.counted(owner, request) : () => this.left(reader);
    try {
      const helper = await this.helper();
      const result = (await this.answer(helper, owner, request, time, reader)) as Results[R['do']];
      try {
        return take(result, helper.pid ?? 0);
      } finally {
        helper.send('taken', () => undefined);
        this.release(helper);
      }
    } catch (error) {
      // Its place is free for the next one then.
      if (reader?.isHanging) await this.places.ended(reader);
      throw error;
    } finally {
      done();
    }
  }

  /**
   * How many helpers of an owner hang, where that is too many for further work. Two owners leave helpers to all others. A search is
   * not held up by the owner for whom it is done: it names what keeps a device busy.
   */
  private mostHanging(owner: string, work: Work): number | undefined {
    const its = [...this.hanging.values()].filter((one) => one.owner === owner);
    if (its.filter((one) => one.work === work).length >= most.hangingAtOne) return its.length;
    const held = its.filter((one) => one.work !== 'search').length;
    const isTooMany = work !== 'search' && held > 0 && held + (this.underWay.get(owner) ?? 0) >= most.hangingOfOne;
    return isTooMany ? held : undefined;
  }

  /** A reader that hangs keeps its place until its helper has ended. */
  private left(reader: Reader): void {
    if (!reader.isHanging) this.places.leave(reader);
  }

  /** Counts work as under way until the returned function is called. @throws HeldUp when too much of the owner's hangs. */
  private counted(owner: string, request: Request): () => void {
    const hanging = this.mostHanging(owner, workOf(request));
    if (hanging !== undefined) {
      throw new HeldUp(`${subjectOf(request)} does not answer, and holds ${hanging} helpers by now`);
    }
    const change = (by: number): void => {
      const now = (this.underWay.get(owner) ?? 0) + by;
      if (now > 0) this.underWay.set(owner, now);
      else this.underWay.delete(owner);
    };
    if (workOf(request) === 'search') return () => undefined;
    change(1);
    return () => change(-1);
  }

  /** An idle helper, or a new one when all others have been busy for too long. */
  private async helper(): Promise<ChildProcess> {
    const began = performance.now();
    for (;;) {
      if (this.closed) throw new Error('the helpers were closed');
      const idle = this.idle.pop();
      if (idle !== undefined) return idle;
      const waited = performance.now() - began;
      const atWork = this.living.size - this.hanging.size;
      const counting = this.living.size - this.places.hanging;
      if (atWork === 0 || (waited > this.patience && this.starting.size === 0 && counting < most.ofAll)) {
        if (counting >= most.ofAll) throw new Error(`${counting} helpers hang, and there may be no more`);
        return this.spawn();
      }
      await this.freed(waited > this.patience ? this.limit : this.patience - waited + 1);
    }
  }

  /** Settles when a helper has become idle or has ended, or after some ms. */
  private freed(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const over = (): void => {
        clearTimeout(timer);
        this.waiting.delete(over);
        resolve();
      };
      const timer = setTimeout(over, ms);
      this.waiting.add(over);
    });
  }

  private wake(): void {
    for (const over of [...this.waiting]) over();
  }

  private release(helper: ChildProcess): void {
    if (!this.living.has(helper) || this.hanging.has(helper)) return;
    this.idle.push(helper);
    this.wake();
    if (this.idle.length > 1) setTimeout(() => this.endIdle(1), spareLimit).unref();
    clearTimeout(this.idleTimer);
    this.idleTimer = setTimeout(() => this.endIdle(0), this.unneeded).unref();
  }

  /** Ends those that have nothing to do, but for so many. */
  private endIdle(kept: number): void {
    for (const child of this.idle.splice(kept)) child.kill('SIGKILL');
  }

  private async answer(
    helper: ChildProcess,
    owner: string,
    request: Request,
    { isStill = false, longest = (ms) => ms }: AnswerTime,
    reader: Reader | undefined,
  ): Promise<unknown> {
    const usual = request.do === 'read-files' ? Math.min(this.limit, readLimit) : this.limit;
    const began = this.placeOf(helper).notes;
    let last = { notes: began, at: performance.now() };
    const heard = this.hear<Answer>(helper, Math.min((usual * part) / 2, lookEvery), () => {
      const { pid, notes } = this.placeOf(helper);
      if (notes !== last.notes) last = { notes, at: performance.now() };
      const isAtProcess = notes !== began && pid !== 0;
      const limit = longest(usual) * (isStill && isAtProcess ? part : 1);
      if (performance.now() - last.at < limit) return undefined;
      const culprit = isAtProcess ? ownerAt(pid) : undefined;
      if (request.do === 'rebind') this.leaveAlone(helper, owner);
      else if (culprit === undefined) this.abandon(helper, { owner, work: workOf(request), reader });
      else this.abandon(helper, { owner: culprit, work: 'look' });
      const where = culprit === undefined ? '' : `, at process ${pid}`;
      return new HeldUp(`${request.do} of ${subjectOf(request)} took over ${limit} ms${where}`, culprit);
    });
    // The caller may know more of a process than a helper needs.
    const { pid, key } = 'process' in request ? request.process : { pid: 0, key: '' };
    // The end of a helper is an event of its own.
    helper.send('process' in request ? { ...request, process: { pid, key } } : request, () => undefined);
    if (request.do === 'rebind') this.binding.add(helper);
    const answer = await heard;
    if (reader !== undefined) this.places.trust(reader);
    this.binding.delete(helper);
    if ('result' in answer) return answer.result;
    this.release(helper);
    throw errorOf(answer);
  }

  private placeOf(helper: ChildProcess): Whereabouts {
    const place = this.whereabouts.get(helper);
    return place === undefined ? { pid: 0, notes: 0 } : readPlace(place);
  }

  /** The next thing that a helper says. `late`: why it is not waited for any longer; undefined when it is. */
  private hear<T>(helper: ChildProcess, ms: number, late: () => Error | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const over = (): void => {
        clearInterval(timer);
        this.asking.delete(ended);
        helper.off('message', said);
        helper.off('exit', ended);
        helper.off('error', ended);
      };
      const said = (message: unknown): void => {
        over();
        resolve(message as T);
      };
      const ended = (): void => {
        over();
        reject(new Error('the helper ended'));
      };
      const timer = setInterval(() => {
        const why = late();
        if (why === undefined) return;
        over();
        reject(why);
      }, ms);
      this.asking.add(ended);
      helper.on('message', said);
      helper.on('exit', ended);
      helper.on('error', ended);
    });
  }

  private async spawn(): Promise<ChildProcess> {
    const began = performance.now();
    const place = makePlace();
    const child = fork(fileURLToPath(new URL('./helper.js', import.meta.url)), [], {
      execArgv: [],
      serialization: 'advanced',
      // A reader of the agent's output would wait for the end of a helper that cannot end.
      stdio: ['ignore', 'ignore', 'inherit', 'ipc', place],
    });
    child.unref();
    child.channel?.unref();
    this.living.add(child);
    this.starting.add(child);
    this.whereabouts.set(child, place);
    const over = (): void => {
      if (!this.living.delete(child)) return;
      this.whereabouts.delete(child);
      closeSync(place);
      const reader = this.hanging.get(child)?.reader;
      if (reader !== undefined) this.places.leave(reader);
      this.hanging.delete(child);
      this.binding.delete(child);
      const at = this.idle.indexOf(child);
      if (at >= 0) this.idle.splice(at, 1);
      this.wake();
    };
    child.once('exit', over);
    // It could not be started, or not be told something.
    child.on('error', () => {
      if (child.pid === undefined) over();
    });
    try {
      await this.hear(child, startLimit, () => {
        child.kill('SIGKILL');
        return new Error(`a helper did not start within ${startLimit} ms`);
      });
      this.patience = Math.max(shortestPatience, 2 * (performance.now() - began));
      return child;
    } finally {
      this.starting.delete(child);
      // Another waiting question may start the next helper now.
      this.wake();
    }
  }

  /** It is not killed between unbinding a driver and binding it again: it ends when it is done. */
  private leaveAlone(helper: ChildProcess, owner: string): void {
    this.hanging.set(helper, { owner, work: 'deed' });
    helper.once('message', () => helper.kill('SIGKILL'));
    this.wake();
  }

  private abandon(helper: ChildProcess, because: Hanging): void {
    helper.kill('SIGKILL');
    this.hanging.set(helper, because);
    if (because.reader !== undefined) this.places.hang(because.reader);
    this.wake();
  }
}

/** Whose a process is; of nobody when it has gone. */
const ownerAt = (pid: number): string => ownerOf(cgroupOf(pid) ?? '');

function subjectOf(request: Request): string {
  if ('process' in request) return `process ${request.process.pid}`;
  return request.do === 'read-files' ? request.owner : `devices of ${request.owner}`;
}

function workOf(request: Request): Work {
  if ('process' in request) return 'look';
  if (request.do === 'read-files') return 'read';
  return request.do === 'take-back' || request.do === 'rebind' ? 'deed' : 'search';
}

/** Work of one lane about one owner is done piece by piece. Preparations are a part of searches. */
const laneOf = (request: Request): string =>
  'process' in request || request.do === 'prepare' ? workOf(request) : request.do;

const errorOf = ({ error, system }: Extract<Answer, { error: string }>): Error =>
  system === undefined ? new Error(error) : new SysError(system.syscall, system.errno, system.what);
