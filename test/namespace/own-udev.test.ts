import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { pidsBelow } from '../../agent/engines/process.js';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { mountTmpfs } from '../../agent/kernel/mount.js';
import { Namespaces } from '../../agent/kernel/namespaces.js';
import { readOptional } from '../../agent/kernel/read.js';
import { runsUdevd, willRunUdevd } from '../../agent/seat/own-udev.js';
import { refTo } from './ref-to.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

const namespaces = new Namespaces();
const scratch = mkdtempSync('/tmp/hotseat-own-udev-');
const root = join(scratch, 'root');
const group = join(cgroupRoot(), `hotseat-own-udev-${process.pid}`);
const children: ChildProcess[] = [];
const udevd = 'usr/lib/systemd/systemd-udevd';
const unit = join(root, 'etc/systemd/system/systemd-udevd.service');

/** A process that is known by the name of its program: a copy of sleep. */
async function running(program: string, ...before: string[]): Promise<number> {
  const [first = '', ...argv] = [...before, program, '600'];
  const child = spawn(first, argv, { stdio: 'ignore' });
  children.push(child);
  const pid = child.pid ?? 0;
  for (let tries = 0; tries < 200 && basename(readlinkSync(`/proc/${pid}/exe`)) !== basename(program); tries++) {
    await new Promise((done) => setTimeout(done, 20));
  }
  return pid;
}
const init = () => running('/init', 'chroot', root);
const will = (pid: number) => willRunUdevd(namespaces, refTo(pid));

test.before(async () => {
  mountTmpfs(scratch, { size: '8m', inodes: 500, mode: 0o755 });
  for (const name of ['root', 'upper', 'work']) mkdirSync(join(scratch, name));
  const layers = `lowerdir=/,upperdir=${scratch}/upper,workdir=${scratch}/work`;
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', layers, root]);
  for (const name of ['init', 'once']) copyFileSync('/bin/sleep', join(root, name));
  mkdirSync(join(root, 'usr/lib/systemd'), { recursive: true });
  mkdirSync(join(root, 'etc/systemd/system'), { recursive: true });
  for (const path of [join(root, udevd), unit]) rmSync(path, { force: true });
  symlinkSync('../../bin/udevadm', join(root, udevd));
  execFileSync('mount', ['-t', 'tmpfs', 'sys', join(root, 'sys')]);
  mkdirSync(group);
  await namespaces.start();
});
test.after(async () => {
  for (const child of children) child.kill('SIGKILL');
  namespaces.close();
  for (let tries = 0; tries < 100; tries++) {
    try {
      rmdirSync(group);
      return;
    } catch {
      await new Promise((done) => setTimeout(done, 20));
    }
  }
});

test('a container whose init may write to /sys and has a udevd will run it', async () => {
  assert.ok(await will(await init()));
});

test('one whose init is a program of its own will not, whatever is installed', async () => {
  assert.not.ok(await will(await running('/once', 'chroot', root)));
});

test('one whose udevd is masked, or missing, will not', async () => {
  const pid = await init();
  symlinkSync('/dev/null', unit);
  assert.not.ok(await will(pid));
  rmSync(unit);
  writeFileSync(unit, '[Service]\n');
  assert.ok(await will(pid), 'a unit of its own is no mask');
  rmSync(join(root, udevd));
  assert.not.ok(await will(pid));
  symlinkSync('../../bin/udevadm', join(root, udevd));
});

test('one that may not write to /sys will not', async () => {
  execFileSync('mount', ['-o', 'remount,ro', join(root, 'sys')]);
  assert.not.ok(await will(await init()));
});

test('a udevd that runs is seen, but not that of a container inside the container', async () => {
  const pid = await running('/bin/sleep');
  const procs = join(group, 'cgroup.procs');
  writeFileSync(procs, String(pid));
  assert.not.ok(runsUdevd({ pid, cgroup: group }));
  const program = join(root, 'systemd-udevd');
  copyFileSync('/bin/sleep', program);
  const enter = `echo $$ > ${procs} && exec unshare --pid --fork --kill-child ${program} 600`;
  children.push(spawn('sh', ['-c', enter], { stdio: 'ignore' }));
  const commands = () => pidsBelow(group).map((member) => (readOptional(`/proc/${member}/comm`) ?? '').trim());
  for (let tries = 0; tries < 200 && !commands().includes('systemd-udevd'); tries++) {
    await new Promise((done) => setTimeout(done, 20));
  }
  assert.ok(commands().includes('systemd-udevd'));
  assert.not.ok(runsUdevd({ pid, cgroup: group }));
  writeFileSync(procs, String(await running(program)));
  assert.ok(runsUdevd({ pid, cgroup: group }));
});

test.run();
