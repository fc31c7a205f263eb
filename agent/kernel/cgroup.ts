import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isGone, readOptional } from './read.js';

let mounted: string | undefined;

/** The remedy where there is no cgroup2 hierarchy. */
export const unifiedRemedy = 'boot with systemd.unified_cgroup_hierarchy=1';

/** Mount point of the cgroup2 hierarchy: `/sys/fs/cgroup`, or below it on hybrid hosts. It stays while we run. */
export function cgroupRoot(): string {
  mounted ??= wholeMount((type) => type === 'cgroup2');
  if (mounted === undefined)
    throw new Error(`nothing can be granted safely: no cgroup2 hierarchy is mounted; ${unifiedRemedy}`);
  return mounted;
}

/** Mount point of the devices controller of cgroups v1; undefined where it is not in use, as on all but hybrid hosts. */
export const devicesRootV1 = (): string | undefined =>
  wholeMount((type, options) => type === 'cgroup' && options.includes('devices'));

/** Where the first hierarchy of this kind is mounted, by file system type and super options. */
function wholeMount(wanted: (type: string, options: readonly string[]) => boolean): string | undefined {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [before, after] = line.split(' - ');
    // Only a mount of the whole hierarchy (fourth field, proc_pid_mountinfo(5)), not an engine's mount of a part.
    const [, , , part, target] = before?.split(' ') ?? [];
    const [type = '', , options = ''] = after?.split(' ') ?? [];
    if (part === '/' && target !== undefined && wanted(type, options.split(','))) return target;
  }
  return undefined;
}

/** The id of a cgroup in `bpf_get_current_ancestor_cgroup_id`: the inode of its directory (kernfs id). */
export const cgroupId = (path: string): bigint => statSync(path, { bigint: true }).ino;

/** Whether all its processes have stopped (`frozen` in cgroup.events, cgroup-v2.rst). */
export const isFrozen = (cgroup: string): boolean =>
  /^frozen 1$/m.test(readFileSync(join(cgroup, 'cgroup.events'), 'utf8'));

/**
 * Whether any process is in a cgroup or below it (`populated` in cgroup.events); not when it has gone. Where that
 * cannot be read, it counts as populated: its guard stays.
 */
export function isPopulated(cgroup: string): boolean {
  try {
    return /^populated 1$/m.test(readFileSync(join(cgroup, 'cgroup.events'), 'utf8'));
  } catch (error) {
    return !isGone(error);
  }
}

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
export function cgroupOf(pid: number, read = readOptional): string | undefined {
  const path = /^0::(\/.*)$/m.exec(read(`/proc/${pid}/cgroup`) ?? '')?.[1];
  return path === undefined ? undefined : join(cgroupRoot(), path);
}

/**
 * Takes a process that was killed and does not end out of the agent's group: systemd waits for every process in a
 * service's group before it starts the service again.
 */
export function leaveService(pid: number): void {
  try {
    writeFileSync(join(cgroupRoot(), 'cgroup.procs'), String(pid));
  } catch {
    // It has ended just now.
  }
}

/** Where a process is in the hierarchy of the devices controller of cgroups v1, from its root (cgroups(7)). */
export const devicesPathV1 = (pid: number): string | undefined =>
  /^\d+:(?:[^:]*,)?devices(?:,[^:]*)?:(\/.*)$/m.exec(readOptional(`/proc/${pid}/cgroup`) ?? '')?.[1];

/** Whether a group is another one, or below it. */
export const isWithin = (cgroup: string, top: string): boolean => cgroup === top || cgroup.startsWith(`${top}/`);

/** The cgroups below one on the way down to another, topmost first, that other one included. */
export function cgroupsBelow(top: string, bottom: string): string[] {
  const below: string[] = [];
  for (let at = bottom; at.startsWith(`${top}/`); at = dirname(at)) below.unshift(at);
  return below;
}

/** Groups in which engines have all their containers where systemd has none of them: root's, as each container's own is. */
const shared: ReadonlySet<string> = new Set(['docker', 'libpod_parent']);

/**
 * Whose the processes in a cgroup are: a container's, a service's or a user's. Only root makes groups this high in the
 * hierarchy. A process in such a group can make more below it, and gains nothing by that.
 */
export function ownerOf(cgroup: string): string {
  const [top = '', below = ''] = cgroup.slice(cgroupRoot().length + 1).split('/');
  return top.endsWith('.slice') || shared.has(top) ? `${top}/${below}` : top;
}
