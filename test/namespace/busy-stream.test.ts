// The description of a PCM stream keeps its reader waiting: a fifo does so here.

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { NodeRef } from '../../agent/core/step.js';
import { Helpers } from '../../agent/kernel/helpers.js';
import { Reclaim } from '../../agent/kernel/reclaim.js';
import { type Loser, revoke } from '../../agent/seat/revoke.js';
import { longestWait } from './longest-wait.js';

/** Longest that a helper may take, ms. */
const limit = 1000;
const asound = mkdtempSync(join(tmpdir(), 'hotseat-asound-'));
const info = join(asound, 'card0/pcm0p/info');
const helpers = new Helpers(limit);
const reclaim = new Reclaim(helpers, asound);
/** A number that no driver has. */
const node: NodeRef = { class: 'snd', name: 'pcmC0D0p', number: { major: 4000, minor: 7 } };
const loser: Loser = { cgroup: undefined, users: [], keepers: [], mark: '' };

function say(free: number): void {
  writeFileSync(`${info}.new`, `card: 0\nsubdevices_count: 1\nsubdevices_avail: ${free}\n`);
  renameSync(`${info}.new`, info);
}

test.before(async () => {
  mkdirSync(join(asound, 'card0/pcm0p'), { recursive: true });
  await helpers.start();
});
test.after(() => {
  helpers.close();
  rmSync(asound, { recursive: true });
});

test('a card counts as held while the kernel does not tell whether somebody has a stream of it open', async () => {
  say(1);
  assert.equal((await revoke([node], loser, reclaim)).left, [], 'nobody has it');
  say(0);
  assert.equal((await revoke([node], loser, reclaim)).left, ['somebody has pcmC0D0p mapped']);
  rmSync(info);
  execFileSync('mkfifo', [info]);
  const longest = await longestWait(async () => {
    const { left, isHeldUp } = await revoke([node], loser, reclaim);
    assert.equal(left, ['it cannot be seen whether somebody has the sound card mapped']);
    assert.ok(isHeldUp, 'nor can its driver be bound again');
  });
  assert.ok(longest < limit / 2, `${longest} ms`);
  say(1);
  assert.equal((await revoke([node], loser, reclaim)).left, [], 'it is told again');
});

test.run();
