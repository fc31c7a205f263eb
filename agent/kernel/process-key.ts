import { readOptional } from './read.js';

/** A process of somebody else's. The kernel gives its pid to another one soon after its end: the key tells them apart. */
export interface ProcessRef {
  readonly pid: number;
  /** As `processKey` gives it. */
  readonly key: string;
}

/**
 * `pid:start time`: another process, another key. Undefined when it is gone. `directory`: its directory in /proc, where that
 * is open already.
 */
export function processKey(pid: number, directory = `/proc/${pid}`): string | undefined {
  const start = startTime(directory);
  return start === undefined ? undefined : `${pid}:${start}`;
}

/** The process that has a pid now, undefined when none has. */
export function processRef(pid: number): ProcessRef | undefined {
  const key = processKey(pid);
  return key === undefined ? undefined : { pid, key };
}

/** When the process of a key began, clock ticks since boot. */
export const startOf = (key: string): number => Number(key.slice(key.indexOf(':') + 1));

/**
 * Whether a process has begun to end, or has ended: it has let go of its files and its memory. The init of a pid namespace
 * then waits for the last process in there, for as long as that takes (kernel/pid_namespace.c, zap_pid_ns_processes).
 */
export const isEnding = (pid: number): boolean => (Number(field(`/proc/${pid}`, 9) ?? exiting) & exiting) !== 0;

/** PF_EXITING (linux/sched.h). */
const exiting = 0x4;

/** Start time of a process in clock ticks since boot, undefined when it is gone. */
const startTime = (directory: string): string | undefined => field(directory, 22);

/** A field of a process's `stat` (proc_pid_stat(5) counts from 1), of those behind the command; undefined when it is gone. */
function field(directory: string, number: number): string | undefined {
  const stat = readOptional(`${directory}/stat`);
  // The second field is the command in parentheses and may hold anything: count from the last parenthesis.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[number - 3];
}
