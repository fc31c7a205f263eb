import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { answerer, type Rooms } from '../../agent/control/requests.js';
import { type Touched, whole } from '../../agent/core/scope.js';

/** Two seats; a look at the containers finds that the right one's has gone. */
function rooms(served: string[], settle: Promise<void>): Rooms {
  const assignments = { seatsOfContainer: (name: string) => (name === 'left' ? ['left'] : []) };
  const controller = {
    populate: () => whole(['right']),
    serve: (touched: Touched) => {
      served.push(...touched.keys());
      return settle;
    },
  };
  return { controller, assignments, engines: { list: () => [] } } as unknown as Rooms;
}

const by = { uid: 1000, pid: 1 };

test('what a waiting client finds to have changed of another seat is acted upon', async () => {
  const served: string[] = [];
  await answerer(rooms(served, Promise.resolve()))({ verb: 'wait', container: 'left', timeoutMs: 1000 }, by);
  assert.equal(served.sort(), ['left', 'right']);
});

test('however many wait for a seat, it is served once after a look', async () => {
  const served: string[] = [];
  const answer = answerer(rooms(served, Promise.resolve()));
  await Promise.all(Array.from({ length: 50 }, () => answer({ verb: 'wait', container: 'left', timeoutMs: 1000 }, by)));
  assert.equal(served.sort(), ['left', 'right']);
  await answer({ verb: 'wait', container: 'left', timeoutMs: 1000 }, by);
  assert.is(served.filter((seat) => seat === 'left').length, 2, 'and again after the next one');
});

test('a client that waits is answered at the end of its time', async () => {
  const started = performance.now();
  const never = new Promise<void>(() => undefined);
  // The agent has more to live for than a client's time.
  const alive = setInterval(() => undefined, 1000);
  await answerer(rooms([], never))({ verb: 'wait', container: 'left', timeoutMs: 50 }, by);
  clearInterval(alive);
  assert.ok(performance.now() - started >= 45);
});

test('nothing is left of a client that waited: its time may be long, and there may be many', async () => {
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  const running = new Set<unknown>();
  globalThis.setTimeout = Object.assign(
    (callback: () => void, ms?: number) => {
      const timer = set(callback, ms);
      running.add(timer);
      return timer;
    },
    { __promisify__: set.__promisify__ },
  );
  globalThis.clearTimeout = (timer) => {
    running.delete(timer);
    clear(timer);
  };
  try {
    await answerer(rooms([], Promise.resolve()))({ verb: 'wait', container: 'left', timeoutMs: 600_000 }, by);
  } finally {
    globalThis.setTimeout = set;
    globalThis.clearTimeout = clear;
  }
  for (const timer of running) clear(timer as NodeJS.Timeout);
  assert.is(running.size, 0);
});

test.run();
