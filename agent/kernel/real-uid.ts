import { readOptional } from './read.js';

/**
 * Real user id of a process (`Uid:` in /proc/PID/status, proc_pid_status(5)); undefined when it has gone. `read`: as
 * `readOptional`, or `readUnlessGone`.
 */
export function realUid(pid: number | string, read = readOptional): number | undefined {
  const uid = /^Uid:\s*(\d+)/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
  return uid === undefined ? undefined : Number(uid);
}
