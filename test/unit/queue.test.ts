import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Scope } from '../../agent/core/scope.js';
import { Queue } from '../../agent/seat/queue.js';

/** A queue whose runs take until `next` is called. */
function slow() {
  const runs: Scope[] = [];
  const ends: ((failures: readonly Error[]) => void)[] = [];
  const over: number[] = [];
  const queue: Queue = new Queue({
    run: (scope) => {
      runs.push(scope);
      return new Promise((resolve) => ends.push(resolve));
    },
    over: (_, retryMs) => void over.push(retryMs),
    again: () => void queue.add('all'),
  });
  const next = async (...failures: Error[]): Promise<void> => {
    ends.shift()?.(failures);
    await pause(1);
  };
  return { queue, runs, over, next };
}

test('runs do not overlap, and what is asked for meanwhile is one run', async () => {
  const { queue, runs, next } = slow();
  const first = queue.add(new Set(['a']));
  const others = [queue.add(new Set(['b'])), queue.add(new Set(['c']))];
  assert.equal(runs, [new Set(['a'])]);
  assert.ok((queue.busyMs ?? -1) >= 0);
  let settled = 0;
  for (const one of [first, ...others]) void one.then(() => settled++);
  await next();
  assert.equal(runs.slice(1), [new Set(['b', 'c'])]);
  assert.is(settled, 0, 'nobody is told before a run took his keys into account');
  await next();
  assert.is(settled, 3);
  assert.is(queue.busyMs, undefined);
});

test('keys that come in the instant in which a run ends are not forgotten', async () => {
  const { queue, runs, next } = slow();
  const first = queue.add(new Set(['a']));
  const second = first.then(() => queue.add(new Set(['b'])));
  await next();
  assert.equal(runs, [new Set(['a']), new Set(['b'])]);
  await next();
  await second;
});

test('a run that failed is tried again, later each time until one succeeds', async () => {
  const { queue, runs, over, next } = slow();
  void queue.add(new Set(['a']));
  const fault = new Error('x');
  await next(fault);
  assert.is(runs.length, 1);
  for (let tries = 0; runs.length < 2 && tries < 100; tries++) await pause(20);
  assert.is(runs[1], 'all');
  await next(fault);
  void queue.add('all');
  await next();
  assert.equal(over, [200, 400, 0]);
  void queue.add(new Set(['c']));
  await next(fault);
  assert.is(over.at(-1), 200);
  await queue.close();
  const { length } = runs;
  await pause(300);
  await queue.add('all');
  assert.is(runs.length, length, 'after its end nothing begins');
});

test('a run with other keys says nothing of what failed: that is tried again soon', async () => {
  const { queue, runs, over, next } = slow();
  for (const _ of ['once', 'twice']) {
    void queue.add(new Set(['a']));
    await next(new Error('x'));
  }
  void queue.add(new Set(['b']));
  await next();
  assert.equal(over, [200, 400]);
  for (let tries = 0; runs.length < 4 && tries < 15; tries++) await pause(20);
  assert.is(runs[3], 'all', 'as soon as after a first failure');
  await next();
  assert.equal(over, [200, 400, 0]);
  await queue.close();
});

test('a run that throws has failed', async () => {
  const failures: string[] = [];
  const queue = new Queue({
    run: () => Promise.reject(new Error('thrown')),
    over: (all) => void failures.push(...all.map(({ message }) => message)),
    again: () => undefined,
  });
  await queue.add('all');
  assert.equal(failures, ['thrown']);
  await queue.close();
});

test.run();
