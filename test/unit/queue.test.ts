import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Scope } from '../../agent/core/scope.js';
import { type Failure, Queue } from '../../agent/seat/queue.js';

/** A queue whose runs take until `next` is called. */
function slow() {
  const runs: Scope[] = [];
  const ends: ((failures: readonly Failure[]) => void)[] = [];
  const over: number[] = [];
  const outstanding: string[] = [];
  const queue: Queue = new Queue({
    run: (scope) => {
      runs.push(scope);
      return new Promise((resolve) => ends.push(resolve));
    },
    over: (_, left, retryMs) => {
      over.push(Math.round(retryMs / 100) * 100);
      outstanding.push(left.map(({ message }) => message).join());
    },
    again: () => void queue.add('all'),
  });
  /** Ends a run, in which these keys have failed. */
  const next = async (...keys: (string | undefined)[]): Promise<void> => {
    ends.shift()?.(keys.map((key) => ({ key, error: new Error(key ?? 'x') })));
    await pause(1);
  };
  return { queue, runs, over, outstanding, next };
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
  await next(undefined);
  assert.is(runs.length, 1);
  for (let tries = 0; runs.length < 2 && tries < 100; tries++) await pause(20);
  assert.is(runs[1], 'all');
  await next(undefined);
  void queue.add('all');
  await next();
  assert.equal(over, [200, 400, 0]);
  void queue.add(new Set(['c']));
  await next(undefined);
  assert.is(over.at(-1), 200);
  await queue.close();
  const { length } = runs;
  await pause(300);
  await queue.add('all');
  assert.is(runs.length, length, 'after its end nothing begins');
});

test('the success of other keys does not bring what fails closer, and does not hide it', async () => {
  const { queue, runs, over, outstanding, next } = slow();
  for (let times = 0; times < 3; times++) {
    void queue.add(new Set(['a']));
    await next('a');
  }
  assert.equal(over, [200, 400, 800]);
  for (let times = 0; times < 25; times++) {
    void queue.add(new Set(['b']));
    await next();
    await pause(20);
  }
  assert.is(runs.length, 28, 'nothing was tried again in half a second');
  assert.equal([...new Set(outstanding)], ['a']);
  for (let tries = 0; runs.length < 29 && tries < 50; tries++) await pause(20);
  assert.is(runs[28], 'all', 'until it is time');
  await next();
  assert.equal([over.at(-1), outstanding.at(-1)], [0, '']);
  await queue.close();
});

test('each key is tried again in its own time, and each that succeeds is done', async () => {
  const { queue, over, outstanding, next } = slow();
  for (const failed of [['a'], ['a'], ['a', 'b']]) {
    void queue.add(new Set(['a', 'b']));
    await next(...failed);
  }
  assert.equal(
    [over, outstanding],
    [
      [200, 400, 200],
      ['a', 'a', 'a,b'],
    ],
  );
  void queue.add(new Set(['b']));
  await next();
  assert.equal([over.at(-1), outstanding.at(-1)], [800, 'a']);
  void queue.add(new Set(['a']));
  await next();
  assert.equal([over.at(-1), outstanding.at(-1)], [0, '']);
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
