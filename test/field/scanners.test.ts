// Two barcode scanners of one make, each with the serial number 0. udev's hardware database gives them a fixed layout.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { proposalsOf } from '../../agent/identify/proposal.js';
import { keyboard } from './driver/capabilities.js';
import { field, plug, usbPort } from './driver/field.js';

const pc = field(import.meta.url);
for (const port of ['1.1', '2.1'])
  pc.usb(port, { ids: '05fe:1010', maker: 'OKE', product: 'OKE PS2-USB V1.61', serial: '0' }).hid(0, [
    { name: 'OKE PS2-USB V1.61', uniq: '0', can: keyboard },
  ]);

test('a serial number that both have is not proposed', () => {
  const seen = plug(pc, { left: `  - { label: hub, match: { port: "${usbPort('1')}" } }` });
  assert.equal(seen.owners('input0', 'input1'), { input0: 'left', input1: 'host' });
  assert.equal(
    proposalsOf(seen.unit('input0'), seen.units).map(({ by }) => by),
    ['port'],
  );
  assert.equal(
    proposalsOf(seen.unit('input0')).map(({ by }) => by),
    ['port', 'serial'],
    'if it were alone',
  );
});

test('that its layout is built in, by udev’s hardware database, is told in the seat', () => {
  const seen = plug(pc, { left: `  - { label: hub, match: { port: "${usbPort('1')}" } }` });
  const [node] = seen.desired('left').devices.filter(({ entry }) => entry.node !== undefined);
  assert.match(node?.record?.text ?? '', /^E:XKB_FIXED_LAYOUT=us$/m);
});

test.run();
