// Two containers do all that they can to hold helpers: of each, a root that is not answered for, and a driver that does not let go.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { Helpers } from '../../agent/kernel/helpers.js';
import { Namespaces } from '../../agent/kernel/namespaces.js';
import { Reclaim } from '../../agent/kernel/reclaim.js';
import { refTo } from './ref-to.js';
import { removeGroups } from './remove-groups.js';
import { silentFuse } from './silent-fuse.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

const helpers = new Helpers(1000);
const namespaces = new Namespaces(helpers);
const reclaim = new Reclaim(helpers);
const group = (name: string): string => join(cgroupRoot(), `hotseat-owner-${process.pid}-${name}`);
const names = ['left', 'right', 'fine'];
const children: ChildProcess[] = [];
const at = mkdtempSync(join(tmpdir(), 'hotseat-owner-'));
const fuse = await silentFuse(at);
const unit = '/sys/devices/platform/i8042';

const program = `import os, sys, time
sys.stdin.readline()
os.chroot(sys.argv[1])
print('up', flush=True)
time.sleep(600)`;

async function run(name: string, root: string): Promise<void> {
  mkdirSync(group(name));
  const child = spawn('python3', ['-c', program, root], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  writeFileSync(join(group(name), 'cgroup.procs'), String(child.pid));
  child.stdin.write('\n');
  await new Promise((resolve) => child.stdout.once('data', resolve));
}

const read = (name: string): Promise<string> => {
  const [pid = ''] = readFileSync(join(group(name), 'cgroup.procs'), 'utf8').split('\n');
  return namespaces.find(refTo(Number(pid)), ['etc/passwd']).then(String, ({ message }: Error) => message);
};
const rebind = (name: string): Promise<string> =>
  reclaim.rebind(unit, 'input', group(name)).then(String, ({ message }: Error) => message);

test.before(async () => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/sys/devices']);
  mkdirSync(unit, { recursive: true });
  execFileSync('mount', ['--bind', at, unit]);
  await run('left', at);
  await run('right', at);
  await run('fine', '/');
  await namespaces.start();
  await fuse.hush();
});
test.after(async () => {
  namespaces.close();
  fuse.end();
  for (const name of names) writeFileSync(join(group(name), 'cgroup.kill'), '1');
  await removeGroups(names.map(group));
  execFileSync('umount', ['--lazy', at]);
  rmdirSync(at);
});

test('two owners do not hold all helpers: a third one is looked at', async () => {
  const held = ['left', 'right'].flatMap((name) => [read(name), read(name), rebind(name), rebind(name)]);
  const reasons = await Promise.all(held);
  assert.match(reasons.join('\n'), /took over 1000 ms/, 'else this shows nothing');
  assert.is(await read('fine'), 'there');
});

test.run();
