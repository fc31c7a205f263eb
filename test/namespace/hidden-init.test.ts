// Root of a container can make groups below its own, and go where nobody lists it: behind very many, or too far down for any path.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Follower } from '../../agent/engines/follower.js';
import { lxc } from '../../agent/engines/lxc.js';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { childrenOf } from './children-of.js';
import { removeGroups } from './remove-groups.js';
import { unshared } from './unshared.js';
import { until } from './until.js';

unshared(import.meta.url);

const root = join(cgroupRoot(), `hotseat-hidden-${process.pid}`);
const cgroup = join(root, 'lxc.payload.left');
const commandLine = (): Promise<string> => Promise.resolve('');
let monitor: ChildProcess;
let init = 0;

const program = `import ctypes, os, sys
sys.stdin.readline()
ctypes.CDLL(None).unshare(0x20000000)
if os.fork() == 0:
    os.chroot('/usr')
    os.execv('/bin/sleep', ['sleep', '600'])
os.wait()`;

/** The containers that a starting agent finds, and its complaint. */
function found(known?: Follower['knows']): [names: string[], problem: string | undefined] {
  const follower = new Follower(root, lxc, known === undefined ? { commandLine } : { commandLine, known });
  try {
    return [follower.list().map(({ name, state }) => `${name} ${state}`), follower.problem];
  } finally {
    follower.close();
  }
}

const moveInit = (group: string): void => writeFileSync(join(group, 'cgroup.procs'), String(init));

test.before(async () => {
  for (const group of [root, cgroup]) mkdirSync(group);
  monitor = spawn('python3', ['-c', program], {
    argv0: '[lxc monitor] /var/lib/lxc left',
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  writeFileSync(join(cgroup, 'cgroup.procs'), String(monitor.pid));
  monitor.stdin?.write('\n');
  await until('the container', () => found()[0].join() === 'left running');
  init = childrenOf(monitor.pid)[0] ?? 0;
});
test.after(async () => {
  writeFileSync(join(root, 'cgroup.kill'), '1');
  await removeGroups([root, cgroup]);
});

/** An agent that knew it before knows it still, and so does the next one; a first one says that it cannot tell. */
function isKnown(hide: () => void): void {
  const follower = new Follower(root, lxc, { commandLine });
  follower.list();
  hide();
  assert.equal(
    follower.list().map(({ name }) => name),
    ['left'],
  );
  assert.equal(found(follower.knows)[0], ['left running'], 'the next agent');
  assert.match(found()[1] ?? '', /which of them is its init cannot be told/, 'a first agent');
  follower.close();
}

test('a container whose init is behind very many groups has not gone, also for an agent that starts', () => {
  const groups = Array.from({ length: 1100 }, (_, index) => join(cgroup, `group-${index}`));
  for (const group of groups) mkdirSync(group);
  try {
    // One of them is listed last.
    isKnown(() => {
      for (const group of groups) {
        moveInit(group);
        if (found()[0].length === 0) break;
      }
    });
  } finally {
    moveInit(cgroup);
    for (const group of groups) rmdirSync(group);
  }
});

test('nor has one whose init is so deep that there is no path to it', () => {
  const name = 'd'.repeat(250);
  const deep = 17;
  process.chdir(cgroup);
  for (let level = 0; level < deep; level++) {
    mkdirSync(name);
    process.chdir(name);
  }
  try {
    isKnown(() => writeFileSync('cgroup.procs', String(init)));
  } finally {
    moveInit(cgroup);
    for (let level = 0; level < deep; level++) {
      process.chdir('..');
      rmdirSync(name);
    }
    process.chdir('/');
  }
});

test.run();
