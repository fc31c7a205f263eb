import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ailment, watchdogMs } from '../../agent/host/watchdog.js';

/** Silences that are not worth a new start, and those that are, ms. */
const fine = { udev: 120_000, seat: 180_000 };
const ms = (most: number) => fc.double({ min: 0, max: most, noNaN: true });
const busy = (most: number) => fc.array(fc.record({ seat: fc.stringMatching(/^[a-z]{1,8}$/), ms: ms(most) }));

test('alive: udev is heard of, and no seat is at one change for ever', () => {
  fc.assert(
    fc.property(ms(fine.udev), busy(fine.seat), (udevSilentMs, seats) => {
      assert.is(ailment({ udevSilentMs, busy: seats }), undefined);
    }),
  );
});

test('a udev process that is silent for too long is no life, whatever the seats do', () => {
  fc.assert(
    fc.property(fc.double({ min: 1, max: 1e9, noNaN: true }), busy(1e9), (more, seats) => {
      assert.match(
        ailment({ udevSilentMs: fine.udev + more, busy: seats }) ?? '',
        /^nothing was heard of udev for \d+ s$/,
      );
    }),
  );
});

test('one seat that is stuck among others is named', () => {
  const seats = [
    { seat: 'left', ms: 10 },
    { seat: 'right', ms: 181_000 },
  ];
  assert.is(ailment({ udevSilentMs: 0, busy: seats }), 'seat right has been at one change for 181 s');
});

test('systemd says in microseconds how long it waits, and whom it means', () => {
  assert.is(watchdogMs({ WATCHDOG_USEC: '90000000' }), 90_000);
  assert.is(watchdogMs({ WATCHDOG_USEC: '90000000', WATCHDOG_PID: String(process.pid) }), 90_000);
  assert.is(watchdogMs({ WATCHDOG_USEC: '90000000', WATCHDOG_PID: '1' }), undefined);
  for (const nonsense of ['', '0', '-5', 'soon']) assert.is(watchdogMs({ WATCHDOG_USEC: nonsense }), undefined);
  assert.is(watchdogMs({}), undefined);
});

test.run();
