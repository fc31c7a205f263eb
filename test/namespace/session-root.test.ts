// Root has processes in the session of a user, such as sshd. They are looked at, however much that user has open.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { findHolders, patient } from '../../agent/kernel/holders.js';
import { removeGroups } from './remove-groups.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

const slice = join(cgroupRoot(), `hotseat-session-${process.pid}.slice`);
const user = join(slice, 'user-4242.slice');
const session = join(user, 'session-1.scope');
const children: ChildProcess[] = [];

async function run(program: string): Promise<number> {
  const child = spawn(
    'python3',
    ['-c', `import os, sys, time\nsys.stdin.readline()\n${program}\nprint('up', flush=True)\ntime.sleep(600)`],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  children.push(child);
  writeFileSync(join(session, 'cgroup.procs'), String(child.pid));
  child.stdin.write('\n');
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return child.pid ?? 0;
}

test.before(() => {
  for (const group of [slice, user, session]) mkdirSync(group);
});
test.after(async () => {
  writeFileSync(join(slice, 'cgroup.kill'), '1');
  await removeGroups([slice, user, session]);
});

test('a user with very many descriptors hides no process of root’s in the session, and holds up nobody by it', async () => {
  const users = await run('os.setgid(4242)\nos.setuid(4242)\nfor count in range(300): os.dup(0)');
  const roots = await run("card = os.open('/dev/full', os.O_RDWR)");
  assert.ok(users < roots, 'it is looked at later, by its pid: else this shows nothing');
  const limits = { ...patient, ofOne: 200 };
  const search = findHolders([{ major: 1, minor: 7 }], { limits, spared: [], keepers: [] });
  const theirs = search.unseen.filter(({ cgroup }) => cgroup === session);
  assert.equal(
    theirs.map(({ uid, why }) => [uid, why]),
    [[4242, 'too many']],
  );
  assert.equal(
    search.holders.map(({ pid }) => pid),
    [roots],
  );
});

test.run();
