// A user who holds the agent's helpers, so that not even SIGKILL ends them, does not hold up the end of its service.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cgroupRoot, isPopulated } from '../../agent/kernel/cgroup.js';
import { childrenOf, helpersOf } from './children-of.js';
import { inOwnGroup } from './own-group.js';
import { removeGroups } from './remove-groups.js';
import { silentFuse } from './silent-fuse.js';
import { unshared } from './unshared.js';
import { until } from './until.js';

// The real agent, in a group as of its service, and containers whose /etc nobody answers for. It has a /run and a sysfs of its
// own, in a cgroup namespace whose root is a group of this test: nothing of the machine is in reach.
inOwnGroup('stop');
unshared(import.meta.url, '--net', '--cgroup');

const main = join(import.meta.dirname, '../../hotseat/main.js');
const scratch = mkdtempSync(join(tmpdir(), 'hotseat-stop-'));
const policies = join(scratch, 'policies');
const repository = join(scratch, 'repository');
const tree = join(scratch, 'tree');
const silent = join(scratch, 'silent');
/** As many as there may be helpers. */
const seats = [...'abcdefgh'].map((letter) => `room-${letter}`);
const monitors: ChildProcess[] = [];
let service = '';
let fuse: Awaited<ReturnType<typeof silentFuse>> | undefined;

/** LXC's monitor and an init with mounts, a network and a root directory of its own. */
const container = `
import ctypes, os, sys
libc = ctypes.CDLL(None)
open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid()))
libc.unshare(0x60020000)
if os.fork() == 0:
    os.chroot('${tree}')
    os.chdir('/')
    os.execv('/usr/bin/sleep', ['sleep', '600'])
print('up', flush=True)
os.wait()
`;

test.before(async () => {
  for (const place of ['/run', '/var/lib', '/sys/devices', '/sys/class', '/sys/fs/bpf', '/etc/udev', '/etc/systemd'])
    execFileSync('sh', ['-c', `test ! -d ${place} || mount -t tmpfs tmpfs ${place}`]);
  // Where cgroups v1 are in use as well, these are in none of their groups.
  execFileSync('umount', ['--recursive', '--lazy', '/sys/fs/cgroup']);
  execFileSync('mount', ['-t', 'cgroup2', 'cgroup2', '/sys/fs/cgroup']);
  mkdirSync('/run/udev');
  writeFileSync('/run/udev/control', '');
  for (const path of [policies, repository, silent, ...['usr', 'etc', 'dev', 'run'].map((name) => join(tree, name))])
    mkdirSync(path, { recursive: true });
  for (const name of ['bin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(tree, name));
  execFileSync('mount', ['--rbind', '/usr', join(tree, 'usr')]);
  fuse = await silentFuse(silent);
  execFileSync('mount', ['--bind', silent, join(tree, 'etc')]);
  for (const seat of seats) {
    const group = join(cgroupRoot(), `lxc.payload.${seat}`);
    mkdirSync(group);
    const words = ['-c', container, group];
    const stdio = ['ignore', 'pipe', 'inherit'] as const;
    const monitor = spawn('/usr/bin/python3', words, {
      argv0: `[lxc monitor] /var/lib/lxc ${seat}`,
      stdio: [...stdio],
    });
    monitors.push(monitor);
    await new Promise((up) => monitor.stdout?.once('data', up));
    const match = 'match: { subsystem: sound }';
    const rule = `{ label: none, ${match}, share: true }`;
    writeFileSync(
      join(policies, `${seat}.yaml`),
      `seat: ${seat}\ncontainer: { engine: lxc, name: ${seat} }\ndevices: [${rule}]\n`,
    );
  }
  mkdirSync(join(scratch, 'bin'));
  writeFileSync(join(scratch, 'bin/udevadm'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(join(policies, 'host.yaml'), 'console: open\n');
  service = join(cgroupRoot(), 'hotseat.service');
  mkdirSync(service);
  await fuse.hush();
});

test.after(async () => {
  fuse?.end();
  const groups = [service, ...seats.map((seat) => join(cgroupRoot(), `lxc.payload.${seat}`))];
  for (const group of groups) writeFileSync(join(group, 'cgroup.kill'), '1');
  await removeGroups(groups);
  for (const mount of [join(tree, 'usr'), join(tree, 'etc'), silent]) execFileSync('umount', ['--lazy', mount]);
  rmSync(scratch, { recursive: true });
});

async function start(...options: string[]): Promise<ChildProcess> {
  const words = ['--enable-source-maps', main, 'run', ...options];
  const enter = ['-c', `echo $$ > ${service}/cgroup.procs && exec "$@"`, 'sh'];
  const agent = spawn('sh', [...enter, process.execPath, ...words], {
    env: { ...process.env, PATH: `${scratch}/bin:${process.env['PATH']}` },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  agent.stdout.on('data', (data: Buffer) => {
    said += data.toString();
  });
  await until('the agent to be ready', () => said.includes('"msg":"ready"')).catch((error: Error) => {
    throw new Error(`${error.message}: ${said}`);
  });
  return agent;
}

/** Helpers that wait for something else than the next question. */
const hanging = (agent: ChildProcess): number[] =>
  helpersOf(agent.pid).filter((pid) => !/^(0|ep_poll)$/.test(readFileSync(`/proc/${pid}/wchan`, 'utf8')));

/** Whether a process is a git that waits for the silent file system (fuse_dev.c, request_wait_answer). */
const isSilenced = (pid: number): boolean =>
  readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'git' &&
  /fuse|request_wait/.test(readFileSync(`/proc/${pid}/wchan`, 'utf8'));

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`eight looks that hang since just now: after ${signal} the agent ends, and so does all in its group`, async () => {
    const agent = await start('--policies', policies);
    await until('all helpers to hang', () => hanging(agent).length === seats.length);
    await endsSoon(agent, signal);
  });
}

test('three looks and more that hang: a restart takes less than 10 s', async () => {
  const agent = await start('--policies', policies);
  await until('all helpers to hang', () => hanging(agent).length === seats.length);
  const began = performance.now();
  await endsSoon(agent, 'SIGTERM');
  const next = await start('--policies', policies);
  const ms = Math.round(performance.now() - began);
  console.log(`a restart with ${seats.length} looks that hang took ${ms} ms`);
  await endsSoon(next, 'SIGKILL');
  assert.ok(ms < 10_000, `${ms} ms`);
});

test('a repository that nobody answers for since just now does not hold up the end either', async () => {
  const git = (...words: string[]) =>
    execFileSync('git', ['-C', repository, '-c', 'user.name=a', '-c', 'user.email=a@b', ...words], { stdio: 'ignore' });
  git('init', '-q', '-b', 'main');
  writeFileSync(join(repository, 'host.yaml'), 'console: open\n');
  git('add', '.');
  git('commit', '-qm', 'no seats');
  const agent = await start('--policies', repository, '--ref', 'refs/heads/main');
  // It is asked on the way to the objects.
  execFileSync('mount', ['--bind', silent, join(repository, '.git/objects')]);
  try {
    agent.kill('SIGHUP');
    await until('git to hang', () => childrenOf(agent.pid).some(isSilenced));
    await endsSoon(agent, 'SIGTERM');
  } finally {
    execFileSync('umount', ['--lazy', join(repository, '.git/objects')]);
  }
});

async function endsSoon(agent: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const began = performance.now();
  const end = new Promise((resolve) => agent.once('exit', resolve));
  agent.kill(signal);
  await end;
  const ended = performance.now() - began;
  // As systemd does then (KillMode=mixed, systemd.kill(5)).
  writeFileSync(join(service, 'cgroup.kill'), '1');
  await until('its group to be empty', () => !isPopulated(service));
  const empty = performance.now() - began;
  console.log(
    `${signal}: it ended after ${Math.round(ended)} ms, and its group was empty after ${Math.round(empty)} ms`,
  );
  assert.ok(empty < 5000, `${empty} ms`);
}

test.run();
