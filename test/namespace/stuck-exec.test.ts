// A process that never comes back from execve: a file of a FUSE mount, which it closes on the way, is never answered for.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { NodeSpec } from '../../agent/core/step.js';
import { hasOwnRoot, sharesNetwork } from '../../agent/engines/process.js';
import { watchExecs } from '../../agent/kernel/execs.js';
import { isHeld } from '../../agent/kernel/held.js';
import { hasty } from '../../agent/kernel/holders.js';
import { parentOf, processKey, runningKey } from '../../agent/kernel/process-key.js';
import { watchThreads } from '../../agent/kernel/thread-facts.js';
import { ownerOfPidNamespace, userNamespaceOf } from '../../agent/kernel/user-namespace.js';
import { standstillOf } from '../../agent/seat/layout.js';
import { hands } from './hands.js';
import { silentFuse } from './silent-fuse.js';
import { unshared } from './unshared.js';
import { until } from './until.js';

unshared(import.meta.url);

const at = mkdtempSync(join(tmpdir(), 'hotseat-exec-'));
const fuse = await silentFuse(at);
const { namespaces, effects } = hands();
let child: ChildProcess;

const program = `import os, sys
card = os.open('/dev/full', os.O_RDWR)
os.set_inheritable(card, True)
page = os.open(sys.argv[1] + '/page', os.O_RDONLY)
os.setgid(4242)
os.setuid(4242)
print('ready', flush=True)
sys.stdin.readline()
os.execv('/bin/sleep', ['sleep', '600'])`;

test.before(async () => {
  assert.is(watchExecs(), undefined);
  child = spawn('/usr/bin/python3', ['-c', program, at], { stdio: ['pipe', 'pipe', 'inherit'] });
  if (child.stdout !== null) await once(child.stdout, 'data');
});
test.after(async () => {
  namespaces.close();
  fuse.end();
  child.kill('SIGKILL');
  await once(child, 'exit');
  execFileSync('umount', ['-l', at]);
  rmdirSync(at);
});

test('who is in the middle of execve is looked at by nobody who would have to wait for him', async () => {
  const pid = child.pid ?? 0;
  const key = processKey(pid);
  assert.ok(key !== undefined && !isHeld(pid), 'else this shows nothing');
  await fuse.hush();
  child.stdin?.write('\n');
  await until('it to be held', () => isHeld(pid));
  assert.throws(() => processKey(pid), /in the middle of execve/);
  assert.is(hasOwnRoot(pid), false, 'it cannot be told');
  assert.is(processKey(process.pid)?.split(':')[0], String(process.pid));

  const search = await effects.findHolders({
    nodes: [{ number: { major: 1, minor: 7 }, by: undefined }],
    ...{ limits: hasty, cgroup: undefined, keepers: [] },
  });
  assert.ok(search.unseen.some((one) => one.pid === pid && one.why === 'refused'));
  const mark = standstillOf('held');
  mkdirSync(join(mark, '..'), { recursive: true });
  const node = { class: 'input', name: 'event7', number: { major: 1, minor: 7 } } as NodeSpec;
  const loser = { users: [], keepers: [], mark };
  const others = await effects.revoke([node], { ...loser, cgroup: '/sys/fs/cgroup/nobody' });
  assert.match(others.handed.join(), new RegExp(`\\(pid ${pid}\\)`), 'he may have been handed it');
});

test('where the kernel tells of single threads, it is looked at like any other, and nobody waits', () => {
  const pid = child.pid ?? 0;
  assert.ok(isHeld(pid), 'it is in the middle of execve still');
  assert.is(watchThreads(), undefined);
  assert.is(processKey(pid)?.split(':')[0], String(pid));
  assert.is(runningKey(pid), processKey(pid));
  assert.is(parentOf(pid), process.pid);
  assert.is(hasOwnRoot(pid), false);
  assert.is(sharesNetwork(pid), true);
  assert.is(userNamespaceOf(pid), userNamespaceOf(process.pid));
  assert.is(ownerOfPidNamespace(pid), ownerOfPidNamespace(process.pid));
});

test.run();
