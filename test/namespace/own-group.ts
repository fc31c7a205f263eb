import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';

/**
 * Puts this process into a group of its own, which is the root of the cgroup namespace that the file then gets: nothing of the
 * machine is in reach. Called before `unshared`; inside, it does nothing.
 */
export function inOwnGroup(name: string): void {
  if (process.env['HOTSEAT_TEST_INNER'] !== undefined) return;
  const root = cgroupRoot();
  const group = join(root, `hotseat-${name}-${process.pid}`);
  mkdirSync(group);
  writeFileSync(join(group, 'cgroup.procs'), String(process.pid));
  process.on('exit', () => {
    writeFileSync(join(root, 'cgroup.procs'), String(process.pid));
    rmdirSync(group);
  });
}
