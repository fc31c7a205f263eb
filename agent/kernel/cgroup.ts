import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Mount point of the cgroup2 hierarchy: `/sys/fs/cgroup`, or below it on hybrid hosts. */
export function cgroupRoot(): string {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [before, after] = line.split(' - ');
    if (after?.startsWith('cgroup2 ') === true) return before?.split(' ')[4] ?? '';
  }
  throw new Error('no cgroup2 hierarchy is mounted: boot with systemd.unified_cgroup_hierarchy=1');
}

/** What the kernel calls a cgroup in `bpf_get_current_ancestor_cgroup_id`: the inode of its directory (kernfs id). */
export const cgroupId = (path: string): bigint => statSync(path, { bigint: true }).ino;

export const isFrozen = (cgroup: string): boolean =>
  /^frozen 1$/m.test(readFileSync(join(cgroup, 'cgroup.events'), 'utf8'));

/** Stops every process of a cgroup and waits until they have stopped, at most `timeoutMs` (cgroup-v2.rst, cgroup.freeze). */
export const freeze = (cgroup: string, limit: { timeoutMs: number }): Promise<void> => setFrozen(cgroup, true, limit);

export const thaw = (cgroup: string, limit: { timeoutMs: number }): Promise<void> => setFrozen(cgroup, false, limit);

async function setFrozen(cgroup: string, frozen: boolean, { timeoutMs }: { timeoutMs: number }): Promise<void> {
  writeFileSync(join(cgroup, 'cgroup.freeze'), frozen ? '1' : '0');
  const end = Date.now() + timeoutMs;
  while (isFrozen(cgroup) !== frozen) {
    if (Date.now() > end) throw new Error(`${cgroup} did not ${frozen ? 'freeze' : 'thaw'} within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
