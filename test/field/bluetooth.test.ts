// Bluetooth keyboards of one make: at the adapter by the kernel's own HIDP, and below nothing by uhid.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { keyboard, mouse } from './driver/capabilities.js';
import { faults, field, plug, usbPort } from './driver/field.js';

const pc = field(import.meta.url);
const adapter = pc.usb('7', { ids: '8087:0a2b' });
const name = 'ThinkPad Compact Bluetooth Keyboard with TrackPoint';
pc.bluetooth('17ef:6048', '90:7f:61:00:00:03', [{ name, can: keyboard }], { link: '256', usb: adapter });
pc.bluetooth('17ef:6048', '90:7f:61:00:00:04', [{ name, can: keyboard }]);
pc.bluetooth('17ef:6088', '21:12:44:00:00:02', [{ name: 'ThinkPad X1 Mouse', can: mouse }]);

test('each is told by its address, by the port of its adapter, or by being of Bluetooth', () => {
  const seen = plug(pc, {
    left: `  - { label: at the adapter, match: { port: "${usbPort('7')}" } }`,
    right: '  - { label: hers, match: { attr: { uniq: "90:7f:61:00:00:04" } } }',
    third: '  - { label: mice, match: { ID_BUS: bluetooth, kind: mouse } }',
  });
  assert.equal(seen.owners('input0', 'input1', 'input2'), { input0: 'left', input1: 'right', input2: 'third' });
});

test('an address as udev quotes it is refused, with what to write instead', () => {
  assert.equal(faults({ right: '  - { label: hers, match: { UNIQ: "90:7f:61:00:00:04" } }' }), [
    'right.yaml:4:35: UNIQ has quotes in it, which no pattern can have, so that "90:7f:61:00:00:04" never matches: write attr: { uniq: "90:7f:61:00:00:04" }',
  ]);
});

test.run();
