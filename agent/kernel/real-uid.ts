import { factsOf } from './facts.js';
import { readOptional } from './read.js';

/**
 * Real user id of a process; undefined when it has gone. Throws when the kernel does not answer. Where it does not tell single
 * facts, the id is read from `Uid:` in /proc/PID/status (proc_pid_status(5)): the kernel then writes out all groups of the
 * process as well, and there can be 65,536. `read`: as `readOptional`, or `readUnlessGone`.
 */
export function realUid(pid: number, read = readOptional): number | undefined {
  const facts = factsOf(pid);
  if (facts !== undefined) return facts === 'gone' ? undefined : facts.realUid;
  const uid = /^Uid:\s*(\d+)/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
  return uid === undefined ? undefined : Number(uid);
}
