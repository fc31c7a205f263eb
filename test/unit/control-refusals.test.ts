import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Refusals } from '../../agent/control/refusals.js';

test('a user who is refused over and over has one line a minute, which tells how often', () => {
  const refusals = new Refusals();
  assert.is(refusals.note(1000, 0), 1);
  for (let n = 1; n <= 250; n++) assert.is(refusals.note(1000, n), undefined);
  assert.is(refusals.note(1001, 300), 1, 'another user has his own');
  assert.is(refusals.note(1000, 60_000), 251);
  assert.is(refusals.note(1000, 60_001), undefined);
});

test('thousands of uids have no more lines than some users', () => {
  const refusals = new Refusals();
  const lines = Array.from({ length: 5000 }, (_, uid) => refusals.note(100_000 + uid, uid)).filter(Boolean);
  assert.is(lines.length, 51);
});

test.run();
