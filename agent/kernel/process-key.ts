import { factsOf } from './facts.js';
import { isHeldAt } from './held.js';
import { directoriesUnlessGone, readUnlessGone } from './read.js';

/** A process of somebody else's. The kernel gives its pid to another one soon after its end: the key tells them apart. */
export interface ProcessRef {
  readonly pid: number;
  /** As `processKey` gives it. */
  readonly key: string;
}

/**
 * `pid:start time`: another process, another key. Undefined when it is gone; throws when that cannot be told. `directory`: its
 * directory in /proc, where that is open already.
 */
export function processKey(pid: number, directory?: string): string | undefined {
  const start = directory === undefined ? statOf(pid).start : look(directory).start;
  return start === undefined ? undefined : `${pid}:${start}`;
}

/** The process that has a pid now, undefined when none has. */
export function processRef(pid: number): ProcessRef | undefined {
  const key = processKey(pid);
  return key === undefined ? undefined : { pid, key };
}

/** The pid in a key. */
export const pidOf = (key: string): number => Number(key.split(':')[0]);

/** When the process of a key began, clock ticks since boot. */
export const startOf = (key: string): number => Number(key.slice(key.indexOf(':') + 1));

/** So many threads are looked at: those that have ended are none any more, but for the first one. */
const mostThreads = 1000;

/**
 * As `processKey`, but undefined as well when the process has begun to end: it has let go of its files and its memory. The
 * init of a pid namespace then waits for the last process in there, for as long as that takes (kernel/pid_namespace.c,
 * zap_pid_ns_processes). The first thread of a process can have ended long before the others (exit(2)).
 */
export function runningKey(pid: number): string | undefined {
  const { start, isRunning } = statOf(pid);
  return start === undefined || !isRunning() ? undefined : `${pid}:${start}`;
}

const hasRunningThread = (pid: number): boolean =>
  directoriesUnlessGone(`/proc/${pid}/task`, mostThreads).some((thread) => {
    const { start, flags } = look(`/proc/${pid}/task/${thread}`);
    return start !== undefined && (flags & exiting) === 0;
  });

/** Pid of a process's parent; undefined when it has gone. Throws when it cannot be read. */
export const parentOf = (pid: number): number | undefined => statOf(pid).parent;

/** PF_EXITING (linux/sched.h). */
const exiting = 0x4;

interface Stat {
  readonly start: string | undefined;
  readonly parent: number | undefined;
  /** Whether one of its threads has not begun to end. */
  readonly isRunning: () => boolean;
}

/** Of a process, also of one that executes a program just now; `start` is undefined when it is gone. */
function statOf(pid: number): Stat {
  const facts = factsOf(pid);
  if (facts === 'gone') return { start: undefined, parent: undefined, isRunning: () => false };
  if (facts !== undefined) return { start: facts.start, parent: facts.parent, isRunning: () => facts.threads > 0 };
  const seen = look(`/proc/${pid}`);
  return { ...seen, isRunning: () => (seen.flags & exiting) === 0 || hasRunningThread(pid) };
}

/**
 * The contents of a process's `stat` (proc_pid_stat(5), fields 4, 9 and 22): its parent, its flags, and its start time
 * in clock ticks since boot, undefined when it is gone. Throws when it cannot be read.
 */
function look(directory: string): Line {
  if (isHeldAt(`${directory}/stat`)) throw new Error(`${directory}: the process is in the middle of execve`);
  const stat = readUnlessGone(`${directory}/stat`);
  // The second field is the command in parentheses and may hold anything: count from the last parenthesis.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
  const parent = fields[4 - 3];
  return {
    start: fields[22 - 3],
    flags: Number(fields[9 - 3]),
    parent: parent === undefined ? undefined : Number(parent),
  };
}

interface Line {
  readonly start: string | undefined;
  readonly flags: number;
  readonly parent: number | undefined;
}
