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

/** Start time of a process in clock ticks since boot (proc_pid_stat(5), field 22), undefined when it is gone. */
function startTime(directory: string): string | undefined {
  const stat = readOptional(`${directory}/stat`);
  // The second field is the command in parentheses and may hold anything: count from the last parenthesis.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}
