import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readOptional } from './read.js';

let mounted: string | undefined;

/** Mount point of the cgroup2 hierarchy: `/sys/fs/cgroup`, or below it on hybrid hosts. It stays while we run. */
export function cgroupRoot(): string {
  mounted ??= findRoot();
  return mounted;
}

function findRoot(): string {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [before, after] = line.split(' - ');
    // Only a mount of the whole hierarchy (fourth field, proc_pid_mountinfo(5)), not one that an engine made of a part.
    const [, , , part, target] = before?.split(' ') ?? [];
    if (after?.startsWith('cgroup2 ') === true && part === '/' && target !== undefined) return target;
  }
  throw new Error('no cgroup2 hierarchy is mounted: boot with systemd.unified_cgroup_hierarchy=1');
}

/** What the kernel calls a cgroup in `bpf_get_current_ancestor_cgroup_id`: the inode of its directory (kernfs id). */
export const cgroupId = (path: string): bigint => statSync(path, { bigint: true }).ino;

/** Whether all its processes have stopped (`frozen` in cgroup.events, cgroup-v2.rst). */
export const isFrozen = (cgroup: string): boolean =>
  /^frozen 1$/m.test(readFileSync(join(cgroup, 'cgroup.events'), 'utf8'));

/** Whether somebody has asked for that, of this very cgroup. */
export const isToFreeze = (cgroup: string): boolean =>
  readFileSync(join(cgroup, 'cgroup.freeze'), 'utf8').trim() === '1';

/**
 * Has every process of a cgroup stop, and waits until they have, at most `timeoutMs` (cgroup-v2.rst, cgroup.freeze).
 * Returns whether they have; those that could be are stopped in either case.
 */
export const freeze = (cgroup: string, limit: { timeoutMs: number }): Promise<boolean> =>
  setFrozen(cgroup, true, limit);

/** Lets them go on, and waits until they do, as `freeze` does. */
export const thaw = (cgroup: string, limit: { timeoutMs: number }): Promise<boolean> => setFrozen(cgroup, false, limit);

async function setFrozen(cgroup: string, frozen: boolean, { timeoutMs }: { timeoutMs: number }): Promise<boolean> {
  writeFileSync(join(cgroup, 'cgroup.freeze'), frozen ? '1' : '0');
  const end = performance.now() + timeoutMs;
  while (isFrozen(cgroup) !== frozen) {
    if (performance.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return true;
}

/** Where a process is in the cgroup2 hierarchy, absolute path (`0::` in /proc/PID/cgroup, cgroups(7)). */
export function cgroupOf(pid: number): string | undefined {
  const path = /^0::(\/.*)$/m.exec(readOptional(`/proc/${pid}/cgroup`) ?? '')?.[1];
  return path === undefined ? undefined : join(cgroupRoot(), path);
}

/** The cgroups below one on the way down to another, topmost first, that other one included. */
export function cgroupsBelow(top: string, bottom: string): string[] {
  const below: string[] = [];
  for (let at = bottom; at.startsWith(`${top}/`); at = dirname(at)) below.unshift(at);
  return below;
}
