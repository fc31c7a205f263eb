// Directories that others own, and in which they cause events without end.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { refMoves } from '../../agent/active/ref-moves.js';
import { CgroupTree } from '../../agent/engines/cgroup-tree.js';
import { fileStream } from '../../agent/engines/streams/file.js';

const scratch = mkdtempSync(join(tmpdir(), 'hotseat-busy-'));
test.after(() => rmSync(scratch, { recursive: true }));

const endless = `
import os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
print('up', flush=True)
while True: os.fchmod(file, 0o600)
`;

/**
 * Two processes change a file without end: that takes little processor time of ours, some of it is heard, and one change after that
 * within `soon`, ms. Settles with how much was heard meanwhile.
 */
async function staysCalm(file: string, heard: () => number, soon: number): Promise<number> {
  const children = await Promise.all(
    [0, 1].map(async (): Promise<ChildProcess> => {
      const child = spawn('python3', ['-c', endless, file], { stdio: ['ignore', 'pipe', 'inherit'] });
      await new Promise((resolve) => child.stdout.once('data', resolve));
      return child;
    }),
  );
  let news = 0;
  try {
    const [began, before] = [process.cpuUsage(), heard()];
    await after(2000);
    const { user, system } = process.cpuUsage(began);
    const ms = (user + system) / 1000;
    assert.ok(ms < 500, `${ms} ms of 2000`);
    news = heard() - before;
    assert.ok(news > 0, 'some of it is heard');
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
  await after(1000);
  const before = heard();
  writeFileSync(file, 'x');
  await after(soon);
  assert.ok(heard() > before, 'and at once again afterwards');
  return news;
}

test('a user’s log of events takes little of the agent’s time, whatever he does there, and is heard on', async () => {
  mkdirSync(join(scratch, 'log'));
  let words = 0;
  const listening = fileStream(scratch, 'log', 'events.log').words.subscribe(() => {
    words += 1;
  });
  try {
    const news = await staysCalm(join(scratch, 'log/events.log'), () => words, 100);
    assert.ok(news < 1500, `${news} events are taken`);
  } finally {
    listening.unsubscribe();
  }
});

test('so does the repository of somebody who makes commits without end', async () => {
  const heads = join(scratch, '.git/refs/heads');
  mkdirSync(heads, { recursive: true });
  let moves = 0;
  const place = { policies: scratch, ref: 'refs/heads/main', signers: undefined };
  const following = refMoves(place, 60_000, async (path) => openSync(path, 'r')).subscribe(() => {
    moves += 1;
  });
  try {
    await staysCalm(join(heads, 'main'), () => moves, 400);
  } finally {
    following.unsubscribe();
  }
});

test('and groups that a user made', async () => {
  const group = join(scratch, 'groups/theirs');
  mkdirSync(group, { recursive: true });
  writeFileSync(join(group, 'cgroup.events'), '');
  let changes = 0;
  const tree: CgroupTree = new CgroupTree(join(scratch, 'groups'), [[/^theirs$/]], () => {
    changes += 1;
    tree.find();
  });
  assert.equal(tree.find(), [group]);
  try {
    const news = await staysCalm(join(group, 'cgroup.events'), () => changes, 100);
    assert.ok(news < 1500, `${news} events are taken`);
  } finally {
    tree.close();
  }
});

test.run();
