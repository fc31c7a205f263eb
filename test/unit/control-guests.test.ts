import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Guests } from '../../agent/control/guests.js';

/** The guests that were told to go, in order. */
let gone: string[] = [];
const house = (): Guests<string> => {
  gone = [];
  return new Guests<string>((guest) => gone.push(guest));
};

/** `users` users who each open as many connections as they may; called `UID.N`. */
function fill(guests: Guests<string>, users: number): void {
  for (let uid = 1; uid <= users; uid++) {
    for (let n = 0; n < 32; n++) assert.is(guests.enter(`${uid}.${n}`, uid), undefined);
    assert.match(guests.enter(`${uid}.32`, uid) ?? '', /at most 32 connections/);
  }
}

test('when there is no room, whoever was silent longest makes it, and nobody for whom something is done', () => {
  const guests = house();
  fill(guests, 8);
  guests.begin('1.0');
  assert.is(guests.enter('new', 99), undefined);
  assert.equal(gone, ['1.1']);
  // A guest that has been answered is silent from then on.
  guests.end('1.0');
  for (let n = 0; n < 3; n++) assert.is(guests.enter(`newer ${n}`, 99), undefined);
  assert.equal(gone, ['1.1', '1.2', '1.3', '1.4']);
});

test('when something is done for all, the newcomer is refused, until one has left', () => {
  const guests = house();
  fill(guests, 8);
  for (let uid = 1; uid <= 8; uid++) for (let n = 0; n < 32; n++) guests.begin(`${uid}.${n}`);
  assert.match(guests.enter('new', 99) ?? '', /at most 256 connections, and none is idle: try again/);
  guests.leave('3.3');
  assert.is(guests.enter('new', 99), undefined);
  assert.equal(gone, []);
});

test('root is no guest: it always gets in, and has nobody go', () => {
  const guests = house();
  fill(guests, 8);
  for (let n = 0; n < 1000; n++) assert.is(guests.enter(`root ${n}`, 0), undefined);
  for (let n = 0; n < 1000; n++) assert.is(guests.watch(`root ${n}`), undefined);
  assert.equal(gone, []);
});

test('those who watch stay, and there are so many at most that others find room', () => {
  const guests = house();
  fill(guests, 8);
  for (let uid = 1; uid <= 8; uid++) {
    for (let n = 0; n < 8; n++) assert.is(guests.watch(`${uid}.${n}`), undefined);
    assert.match(guests.watch(`${uid}.8`) ?? '', /over at most 8 connections/);
    // Asked once more on the same connection, it is the same watch.
    assert.is(guests.watch(`${uid}.0`), undefined);
  }
  assert.is(guests.enter('new', 99), undefined);
  assert.match(guests.watch('new') ?? '', /together watch over at most 64 connections/);
  guests.end('1.0');
  assert.is(guests.enter('newer', 99), undefined);
  assert.equal(gone, ['1.8', '1.9']);
});

test.run();
