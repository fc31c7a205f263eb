// seatd's protocol, byte for byte as libseat 0.7 to 0.9.1 writes and reads it (libseat/backend/seatd.c, include/protocol.h).

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encode, longestRequest, ProtocolError, SeatdReader, type SeatdRequest } from '../../agent/holder/seatd.js';

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');

/** Every request in some bytes, given as a whole. */
function requests(text: Buffer): SeatdRequest[] {
  const reader = new SeatdReader();
  reader.push(text);
  const found: SeatdRequest[] = [];
  for (let next = reader.next(); next !== undefined; next = reader.next()) found.push(next);
  return found;
}

const event3 = '2f 64 65 76 2f 69 6e 70 75 74 2f 65 76 65 6e 74 33 00';

test('requests are read as libseat writes them', () => {
  assert.equal(requests(bytes('01 00 00 00')), [{ ask: 'open-seat' }]);
  assert.equal(requests(bytes('02 00 00 00')), [{ ask: 'close-seat' }]);
  assert.equal(requests(bytes(`03 00 14 00 12 00 ${event3}`)), [{ ask: 'open-device', path: '/dev/input/event3' }]);
  assert.equal(requests(bytes('04 00 04 00 05 00 00 00')), [{ ask: 'close-device', device: 5 }]);
  assert.equal(requests(bytes('05 00 00 00')), [{ ask: 'disable-seat' }]);
  assert.equal(requests(bytes('06 00 04 00 ff ff ff ff')), [{ ask: 'switch-session', session: -1 }]);
  assert.equal(requests(bytes('07 00 00 00')), [{ ask: 'ping' }]);
});

test('answers are written as libseat reads them', () => {
  const written = (...answer: Parameters<typeof encode>): string => encode(...answer).toString('hex');
  assert.is(written({ say: 'seat-opened', seat: 'seat0' }), '0180080006007365617430' + '00');
  assert.is(written({ say: 'seat-closed' }), '02800000');
  assert.is(written({ say: 'device-opened', device: 1 }), '0380040001000000');
  assert.is(written({ say: 'device-closed' }), '04800000');
  assert.is(written({ say: 'enable-seat' }), '06800000');
  assert.is(written({ say: 'pong' }), '07800000');
  assert.is(written({ say: 'session-switched' }), '08800000');
  assert.is(written({ say: 'error', errno: 22 }), 'ffff040016000000');
});

test('it is the same however the bytes are cut', () => {
  const all = bytes(`01 00 00 00 03 00 14 00 12 00 ${event3} 07 00 00 00 04 00 04 00 01 00 00 00`);
  const whole = requests(all);
  assert.is(whole.length, 4);
  for (const size of [1, 3, 5, 7]) {
    const reader = new SeatdReader();
    const found: SeatdRequest[] = [];
    for (let at = 0; at < all.length; at += size) {
      reader.push(all.subarray(at, at + size));
      for (let next = reader.next(); next !== undefined; next = reader.next()) found.push(next);
    }
    assert.equal(found, whole, `in pieces of ${size}`);
  }
});

test('the longest path is read, and one that is a byte longer is refused before it has come', () => {
  const path = `/dev/${'x'.repeat(250)}`;
  const message = Buffer.concat([bytes('03 00 02 01 00 01'), Buffer.from(`${path}\0`)]);
  assert.is(message.length, longestRequest);
  assert.equal(requests(message), [{ ask: 'open-device', path }]);
  assert.throws(
    () => requests(bytes('03 00 03 01')),
    (error: unknown) => error instanceof ProtocolError,
  );
  assert.throws(
    () => requests(bytes('07 00 ff ff')),
    (error: unknown) => error instanceof ProtocolError,
  );
});

test('what is no message of the protocol is refused', () => {
  for (const wrong of [
    '00 00 00 00', // no operation
    '08 00 00 00',
    '03 80 00 00', // a server's
    '01 00 01 00 00', // with a body
    '04 00 02 00 01 00', // too short a body
    '06 00 08 00 01 00 00 00 00 00 00 00',
    '03 00 00 00', // no length of a path
    '03 00 02 00 00 00', // an empty path has a NUL as well
    '03 00 05 00 02 00 2f 61 00', // another length than the message's
    '03 00 04 00 02 00 2f 61', // without NUL
    '03 00 05 00 03 00 2f 00 00', // with a NUL inside
  ]) {
    assert.throws(
      () => requests(bytes(wrong)),
      (error: unknown) => error instanceof ProtocolError,
      wrong,
    );
  }
});

test.run();
