// A container that connects again and again while the kernel does not get to open its device.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { CardLessor } from '../../agent/holder/holdings.js';
import type { ServedDevice, ServedSeat } from '../../agent/holder/messages.js';
import type { SeatdClient } from '../../agent/holder/seatd-client.js';
import { SeatdServer } from '../../agent/holder/seatd-server.js';
import { Taking } from '../../agent/holder/taking.js';
import { Lanes } from '../../agent/kernel/lanes.js';

const device: ServedDevice = {
  ...{ id: 'c13:70', path: '/dev/input/event6', kind: 'input', number: '13:70' },
  ...{ syspath: '/sys/devices/x', incarnation: undefined },
};
const wanted: ServedSeat = {
  ...{ seat: 'left', path: '/nonexistent/socket', shown: undefined, cgroup: undefined },
  ...{ answersSwitch: true, devices: [device] },
};
const nothing = (): void => undefined;
/** The seat has no outputs. */
const cards: CardLessor = {
  hasOutputs: () => false,
  openCard: () => {
    throw new Error('it has none');
  },
};

test('opens that nobody waits for any more are not kept without an end', async () => {
  const never = () => new Promise<never>(nothing);
  const server = new SeatdServer(wanted, nothing, nothing, new Lanes(4), new Taking(), cards, never);
  await server.update(wanted);
  let kept = 0;
  for (let count = 0; count < 1000; count++) {
    const client = { enable: nothing } as SeatdClient;
    server.enter(client);
    kept += 1;
    server.open(client, device.path).catch(() => {
      kept -= 1;
    });
    server.leave(client);
  }
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(kept <= 128, `${kept} of 1000`);
});

test.run();
