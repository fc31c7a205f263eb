import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { HeldUp } from '../../agent/kernel/held-up.js';
import { type Reader, ReadPlaces } from '../../agent/kernel/read-places.js';

async function refusal(entering: Promise<Reader>): Promise<string> {
  try {
    await entering;
  } catch (error) {
    assert.instance(error, HeldUp);
    return (error as Error).message;
  }
  return 'it has a place';
}

test('of devices that did not answer one is read at a time, and the other place is for all others', async () => {
  const places = new ReadPlaces();
  const [first, second] = [await places.enter('usb', '1-1'), await places.enter('usb', '1-2')];
  for (const reader of [first, second]) {
    places.hang(reader);
    places.leave(reader);
  }
  const again = await places.enter('usb', '1-1');
  assert.match(await refusal(places.enter('usb', '1-2')), /1-2 did not answer before, and it is the turn of 1-1/);
  const other = await places.enter('usb', '1-3');
  let isNext = false;
  const next = places.enter('usb', '1-4').then((reader) => {
    isNext = true;
    return reader;
  });
  await Promise.resolve();
  assert.not.ok(isNext, 'it waits for a place');
  places.leave(other);
  places.leave(await next);
  places.trust(again);
  places.leave(again);
  const freed = await places.enter('usb', '1-2');
  places.leave(await places.enter('usb', '1-1'));
  places.leave(freed);
});

test('what hangs keeps its place until it ends, and none of another kind', async () => {
  const places = new ReadPlaces();
  const [first, second] = [await places.enter('drm', 'card0'), await places.enter('drm', 'card1')];
  const waiting = refusal(places.enter('drm', 'card2'));
  for (const reader of [first, second]) places.hang(reader);
  assert.is(await waiting, 'other devices do not answer: card0 and card1');
  assert.is(await refusal(places.enter('drm', 'card0')), 'card0 does not answer, and holds a helper');
  assert.is(places.hanging, 2);
  const began = performance.now();
  for (const kind of ['usb', 'sound'] as const) places.leave(await places.enter(kind, 'card0'));
  const ended = places.ended(first);
  places.leave(first);
  await ended;
  assert.ok(performance.now() - began < 500, 'nobody waits any longer than it takes to end');
  places.leave(await places.enter('drm', 'card2'));
});

test('whoever waits for a place is refused at the end', async () => {
  const places = new ReadPlaces();
  for (const device of ['1-1', '1-2']) await places.enter('usb', device);
  const waiting = places.enter('usb', '1-3').catch((error: Error) => error.message);
  places.close();
  assert.is(await waiting, 'the helpers were closed');
});

test.run();
