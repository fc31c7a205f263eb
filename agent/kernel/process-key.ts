import { readOptional } from './read.js';

/** `pid:start time`: another process, another key. Undefined when it is gone. */
export function processKey(pid: number): string | undefined {
  const start = startTime(pid);
  return start === undefined ? undefined : `${pid}:${start}`;
}

/** Start time of a process in clock ticks since boot (proc_pid_stat(5), field 22), undefined when it is gone. */
function startTime(pid: number): string | undefined {
  const stat = readOptional(`/proc/${pid}/stat`);
  // The second field is the command in parentheses and may hold anything: count from the last parenthesis.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}
