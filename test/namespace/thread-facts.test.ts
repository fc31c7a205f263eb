// Facts that the kernel tells of threads, compared with those that procfs has of all processes of this machine.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { factsOf, type ThreadFacts } from '../../agent/kernel/facts.js';
import { processKey, runningKey } from '../../agent/kernel/process-key.js';
import { lookAt } from '../../agent/kernel/statx.js';
import { watchThreads } from '../../agent/kernel/thread-facts.js';
import { ownerOfPidNamespace } from '../../agent/kernel/user-namespace.js';
import { until } from './until.js';

let container: ChildProcess;
test.before(async () => {
  const namespaces = ['--user', '--map-root-user', '--pid', '--fork', '--net', '--cgroup', '--mount'];
  container = spawn('unshare', [...namespaces, '--root=/usr', '/bin/sleep', '600'], { stdio: 'ignore' });
  await until('it to run', () => initOf(container) !== undefined);
});
test.after(() => void container.kill('SIGKILL'));

function initOf({ pid }: ChildProcess): number | undefined {
  const child = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  if (child === '' || !readFileSync(`/proc/${child}/comm`, 'utf8').startsWith('sleep')) return undefined;
  return Number(child);
}

/** The same from procfs; undefined where it does not let us see it. */
function seen(pid: number): Partial<Record<keyof ThreadFacts, unknown>> {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const inode = (name: string) => optional(() => statSync(`/proc/${pid}/${name}`, { bigint: true }).ino);
  return {
    start: fields[22 - 3],
    parent: Number(fields[4 - 3]),
    realUid: Number(/^Uid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]),
    userNamespace: inode('ns/user'),
    pidNamespace: inode('ns/pid'),
    pidNamespaceOwner: optional(() => ownerOfPidNamespace(pid)),
    netNamespace: inode('ns/net'),
    cgroupNamespace: inode('ns/cgroup'),
    programName: optional(() => basename(readlinkSync(`/proc/${pid}/exe`)).slice(0, 15)),
  };
}

function optional<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

const isZombie = (pid: number): boolean =>
  pid > 0 && optional(() => /^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) === true;

const pids = (): number[] =>
  readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 1);

test('they are those of procfs, for each process', () => {
  // Before the kernel is asked, so that it is procfs that answers.
  const before = new Map(pids().map((pid) => [pid, optional(() => seen(pid))]));
  assert.is(factsOf(process.pid), undefined);
  assert.is(watchThreads(), undefined);
  let compared = 0;
  for (const [pid, wanted] of before) {
    const told = factsOf(pid);
    if (told === undefined || told === 'gone' || wanted === undefined || told.start !== wanted.start) continue;
    for (const [name, value] of Object.entries(wanted)) {
      if (value !== undefined) assert.equal([pid, name, told[name as keyof ThreadFacts]], [pid, name, value]);
      compared += value === undefined ? 0 : 1;
    }
  }
  assert.ok(compared > 100, `${compared}`);
});

test('two have the same program or root where procfs says so, and only there', () => {
  for (const [fact, name] of [
    ['program', 'exe'],
    ['root', 'root/'],
  ] as const) {
    const wanted = new Map<string, string>();
    const all = [...pids(), initOf(container) ?? 0];
    for (const pid of all) {
      const told = factsOf(pid);
      const identity = lookAt(`/proc/${pid}/${name}`)?.identity;
      if (typeof told !== 'object' || identity === undefined) continue;
      assert.is(wanted.get(identity) ?? told[fact], told[fact], `${name} of ${pid}`);
      wanted.set(identity, told[fact]);
    }
    assert.ok(wanted.size > 1, `${name}: ${wanted.size}`);
    assert.is(new Set(wanted.values()).size, wanted.size, name);
  }
});

test('a process whose first thread has ended runs as long as another one does', async () => {
  const script =
    'import ctypes, sys, threading, time\n' +
    'threading.Thread(target=lambda: (print("on", flush=True), sys.stdin.read())).start()\n' +
    'ctypes.CDLL(None).pthread_exit(None)';
  const child = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const pid = child.pid ?? 0;
  try {
    await until('its first thread to have ended', () => isZombie(pid));
    const told = factsOf(pid);
    assert.is(typeof told === 'object' ? told.threads : told, 1);
    assert.is(runningKey(pid), processKey(pid));
    const parent = spawn('sh', ['-c', 'sleep 0 & exec sleep 600'], { stdio: 'ignore' });
    try {
      const dead = () => readFileSync(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8').trim();
      await until('a process that nobody reaps', () => isZombie(Number(dead())));
      assert.is(runningKey(Number(dead())), undefined);
    } finally {
      parent.kill('SIGKILL');
    }
  } finally {
    child.kill('SIGKILL');
  }
});

test('of a process in namespaces of its own they are its own, and one that has gone is gone', async () => {
  const init = initOf(container) ?? 0;
  const [its, ours] = [factsOf(init), factsOf(process.pid)];
  if (typeof its !== 'object' || typeof ours !== 'object') throw new Error('they cannot be told');
  for (const name of ['userNamespace', 'pidNamespace', 'netNamespace', 'cgroupNamespace', 'root'] as const)
    assert.is.not(its[name], ours[name], name);
  assert.is(its.pidNamespaceOwner, its.userNamespace);
  assert.is(its.programName, 'sleep');
  execFileSync('kill', ['-KILL', String(init)]);
  await until('it to be gone', () => factsOf(init) === 'gone');
});

test.run();
