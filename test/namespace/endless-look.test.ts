// A process at which no look ends: its directory of descriptors lies below a FUSE mount that answers nothing any more. It has the
// device open, or nobody would look.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { NodeRef } from '../../agent/core/step.js';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { standstillOf } from '../../agent/seat/layout.js';
import type { Loser } from '../../agent/seat/revoke.js';
import { hands } from './hands.js';
import { longestWait } from './longest-wait.js';
import { type SilentFuse, silentFuse } from './silent-fuse.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

/** Longest that a helper may take without a sign of life, ms. */
const limit = 1000;
const { namespaces, effects } = hands(limit);
const group = join(cgroupRoot(), `hotseat-endless-${process.pid}`);
const mark = standstillOf('endless');
const node: NodeRef = { class: 'input', name: 'event7', number: { major: 1, minor: 7 } };
const loser: Loser = { cgroup: join(cgroupRoot(), 'nobody'), users: [], keepers: [], mark };
let fuse: SilentFuse;
let child: ChildProcess;

test.before(async () => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  mkdirSync(dirname(mark), { recursive: true });
  mkdirSync(group);
  const program =
    "import os, time; os.open('/dev/full', os.O_RDWR); os.setuid(4242); print(flush=True); time.sleep(600)";
  child = spawn('/usr/bin/python3', ['-c', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (child.stdout !== null) await once(child.stdout, 'data');
  writeFileSync(join(group, 'cgroup.procs'), String(child.pid));
  const silent = mkdtempSync(join(tmpdir(), 'hotseat-endless-'));
  fuse = await silentFuse(silent);
  execFileSync('mount', ['--move', silent, `/proc/${child.pid}/fd`]);
  rmdirSync(silent);
  await namespaces.start();
});
test.after(async () => {
  namespaces.close();
  fuse.end();
  child.kill('SIGKILL');
  await once(child, 'exit');
  rmdirSync(group);
});

const isEndless =
  /python3 \(pid \d+\)( may have been handed it, and)? is of somebody at whose processes a look does not end/;

test('a look that does not end ends the helper that looks; the rest is searched, and whose it is, is said', async () => {
  const before = await effects.revoke([node], loser);
  assert.not.match(before.handed.join(), isEndless, 'as long as it is answered for: else this shows nothing');
  await fuse.hush();
  const began = performance.now();
  let found = before;
  const longest = await longestWait(async () => {
    found = await effects.revoke([node], loser);
  });
  const ms = performance.now() - began;
  assert.equal([found.left, found.isHeldUp], [[], false], 'a stranger holds up nobody');
  assert.match(found.handed.join(), isEndless);
  assert.ok(ms < 10 * limit, `${ms} ms`);
  assert.ok(longest < limit / 2, `${longest} ms`);
});

test('nobody stands still while it is found out that a look does not end', async () => {
  // Another helper's mount: what is known of the first one does not count.
  const own = hands(5 * limit);
  const still = join(cgroupRoot(), `hotseat-still-${process.pid}`);
  mkdirSync(still);
  const other = spawn('sleep', ['600'], { stdio: 'ignore' });
  writeFileSync(join(still, 'cgroup.procs'), String(other.pid));
  const isStill = () => /^frozen 1$/m.test(readFileSync(join(still, 'cgroup.events'), 'utf8'));
  let frozenMs = 0;
  let last = performance.now();
  const beat = setInterval(() => {
    const now = performance.now();
    if (isStill()) frozenMs += now - last;
    last = now;
  }, 5);
  try {
    await own.namespaces.start();
    const found = await own.effects.revoke([node], { ...loser, cgroup: still });
    assert.match(found.handed.join(), isEndless, 'else this shows nothing');
    console.log(`the container stood still for ${Math.round(frozenMs)} ms`);
    assert.ok(frozenMs < 2.5 * limit, `the container stood still for ${Math.round(frozenMs)} ms`);
  } finally {
    clearInterval(beat);
    own.namespaces.close();
    other.kill('SIGKILL');
    await once(other, 'exit');
    rmdirSync(still);
  }
});

test('it is not looked at again soon, and counts with whoever it belongs to', async () => {
  const began = performance.now();
  const found = await effects.revoke([node], { ...loser, users: [{ first: 4242, last: 4242 }] });
  const ms = performance.now() - began;
  assert.match(found.left.join(), isEndless);
  assert.ok(ms < limit, `${ms} ms`);
});

test.run();
