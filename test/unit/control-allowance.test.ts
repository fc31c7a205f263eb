import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Allowance } from '../../agent/control/allowance.js';
import { SharedLook } from '../../agent/control/shared-look.js';

const user = 1000;

/** Lets `uids` ask as often as they may for a minute, each request taking `ms`; how much of the time each had. */
function shares(uids: readonly number[], ms: number): Map<number, number> {
  let now = 0;
  const allowance = new Allowance(() => now);
  const had = new Map(uids.map((uid) => [uid, 0]));
  for (; now < 60_000; now += 1) {
    for (const uid of uids) {
      if (allowance.delay(uid) > 0) continue;
      allowance.spend(uid, ms);
      had.set(uid, (had.get(uid) ?? 0) + ms / 60_000);
    }
  }
  return had;
}

test('a user who asks without end has a twentieth of the time, whatever a request takes', () => {
  for (const ms of [0.2, 2, 50]) {
    const share = shares([user], ms).get(user) ?? 0;
    assert.ok(share > 0.045 && share < 0.055, `${ms} ms a request: ${share}`);
  }
});

test('someone with many user ids has a quarter, however many they are', () => {
  const uids = Array.from({ length: 500 }, (_, n) => 100_000 + n);
  const share = [...shares(uids, 1).values()].reduce((sum, one) => sum + one, 0);
  assert.ok(share < 0.3, `${share}`);
});

test('who asks now and then never waits, and neither does root', () => {
  let now = 0;
  const allowance = new Allowance(() => now);
  for (let n = 0; n < 1000; n++, now += 1000) {
    assert.is(allowance.delay(user), 0);
    allowance.spend(user, 20);
  }
  for (let n = 0; n < 1000; n++) allowance.spend(0, 100);
  assert.is(allowance.delay(0), 0);
});

test('users who ask no more are forgotten, also while one goes on asking', () => {
  let now = 0;
  const allowance = new Allowance(() => now);
  for (let n = 0; n < 1000; n++, now += 100) {
    allowance.spend(user, 1);
    allowance.spend(100_000 + n, 1);
  }
  assert.ok(allowance.users < 10, `${allowance.users}`);
});

test('one who has to wait is told how long, and may ask then', () => {
  let now = 0;
  const allowance = new Allowance(() => now);
  allowance.spend(user, 150);
  const ms = allowance.delay(user);
  assert.is(ms, 1000);
  now += ms;
  assert.is(allowance.delay(user), 0);
});

test('who turns many away has all wait for it, and none of them; what they are told of is charged as it is', () => {
  let now = 0;
  const allowance = new Allowance(() => now);
  for (let n = 0; n < 10_000; n++) allowance.spend(user, 0.001, 0);
  assert.is(allowance.delay(user), 0, '10 ms were taken');
  assert.is(allowance.delayOfAll(), 0);
  for (let n = 0; n < 3000; n++) allowance.spendOfAll(0);
  const ms = allowance.delayOfAll();
  assert.ok(ms > 300 && ms < 1000, `${ms}`);
  assert.is(allowance.users, 1);
  now += ms;
  assert.is(allowance.delay(user), 0);
});

test('all who ask at a time share a look that began after they asked, and looks keep their distance', async () => {
  const times: number[] = [];
  const look = new SharedLook(() => times.push(performance.now()));
  const asked = performance.now();
  await Promise.all(Array.from({ length: 500 }, () => look.taken()));
  assert.is(times.length, 1);
  assert.ok((times[0] ?? 0) >= asked);
  await look.taken();
  assert.is(times.length, 2);
  assert.ok((times[1] ?? 0) - (times[0] ?? 0) >= 195);
});

test('a look that failed has failed for all who shared it, and the next one is another', async () => {
  let fails = true;
  const look = new SharedLook(() => {
    if (fails) throw new Error('not now');
  });
  const results = await Promise.allSettled([look.taken(), look.taken()]);
  assert.equal(
    results.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  fails = false;
  await look.taken();
});

test.run();
