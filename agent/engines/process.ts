import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readOptional } from '../kernel/read.js';

/** Pids of a cgroup and of all groups below it (cgroup.procs, cgroups(7)). */
export function pidsBelow(cgroup: string): number[] {
  const own = (readOptional(join(cgroup, 'cgroup.procs')) ?? '').split('\n').filter(Boolean).map(Number);
  return [...own, ...subgroups(cgroup).flatMap((name) => pidsBelow(join(cgroup, name)))];
}

function subgroups(cgroup: string): string[] {
  try {
    return readdirSync(cgroup, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return [];
  }
}

/**
 * The init of a container: the process that is pid 1 of the outermost pid namespace below ours
 * (`NSpid:` in /proc/PID/status lists its pid in every namespace, ours first; proc_pid_status(5)).
 */
export function findInit(cgroup: string): number | undefined {
  let best: { pid: number; depth: number } | undefined;
  for (const pid of pidsBelow(cgroup)) {
    const nspid = /^NSpid:\s*(.*)$/m.exec(readOptional(`/proc/${pid}/status`) ?? '')?.[1]?.split(/\s+/);
    if (nspid === undefined || nspid.length < 2 || nspid.at(-1) !== '1') continue;
    if (best === undefined || nspid.length < best.depth) best = { pid, depth: nspid.length };
  }
  return best?.pid;
}

/** Start time of a process in clock ticks since boot (proc_pid_stat(5), field 22), undefined when it is gone. */
export function startTime(pid: number): string | undefined {
  const stat = readOptional(`/proc/${pid}/stat`);
  // The second field is the command in parentheses and may hold anything: count from the last parenthesis.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

/** Host id that id 0 inside maps to (user_namespaces(7)); undefined when nothing maps it or the process is gone. */
export function mappedRoot(pid: number, map: 'uid_map' | 'gid_map'): number | undefined {
  for (const line of (readOptional(`/proc/${pid}/${map}`) ?? '').split('\n')) {
    const [inside, outside] = line.trim().split(/\s+/).map(Number);
    if (inside === 0 && outside !== undefined) return outside;
  }
  return undefined;
}

/**
 * Whether the engine is done with a container's init: it has a root of its own, and runs another program than the
 * engine's helper that prepared it. Before that, a graft would land in a copy of the host's tree.
 */
export function isSetUp(init: number): boolean {
  const parent = /^PPid:\s*(\d+)$/m.exec(readOptional(`/proc/${init}/status`) ?? '')?.[1];
  const root = identity(`/proc/${init}/root/`);
  const program = identity(`/proc/${init}/exe`);
  return (
    root !== undefined && root !== identity('/') && program !== undefined && program !== identity(`/proc/${parent}/exe`)
  );
}

function identity(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}
