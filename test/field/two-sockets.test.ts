// A controller that numbers its two buses apart: two sockets, one for each speed, have one ID_PATH.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { thingOf } from '../../agent/core/loan.js';
import { proposalsOf } from '../../agent/identify/proposal.js';
import { keyboard } from './driver/capabilities.js';
import { faults, field, plug, usbPort } from './driver/field.js';

const pc = field(import.meta.url);
for (const bus of ['usb1', 'usb2']) {
  // As a second controller's tree would be, at the same port of either bus.
  const hid = pc.hid(`/devices/pci0000:00/0000:00:14.0/${bus}`, '0003', '1c4f:0002', { name: bus });
  pc.input(hid, { bus: '0003', ids: '1c4f:0002' }, { name: `Keyboard at ${bus}`, can: keyboard });
}
/** Properties that newer udevs set by themselves. */
const newer = (withBus: boolean) => ({
  '71-zz-path.rules': ['usb1 2', 'usb2 3']
    .map((pair) => pair.split(' '))
    .map(
      ([bus, revision]) =>
        `SUBSYSTEM=="input", KERNEL=="input*", DEVPATH=="*/${bus}/*", ENV{ID_PATH}="${usbPort('2')}:1.0"` +
        (withBus ? `, ENV{ID_PATH_WITH_USB_REVISION}="pci-0000:00:14.0-usbv${revision}-0:2:1.0"` : ''),
    )
    .join('\n'),
});
const seats = {
  left: '  - { label: slow, match: { port: "pci-0000:00:14.0-usbv2-0:2" } }',
  right: '  - { label: quick, match: { port: "pci-0000:00:14.0-usbv3-0:2" } }',
};

test('each socket is its own, as it was written', () => {
  assert.equal(faults(seats), []);
  assert.equal(plug(pc, seats, { more: newer(true) }).owners('input0', 'input1'), { input0: 'left', input1: 'right' });
  const both = { left: `  - { label: both, match: { port: "${usbPort('2')}" } }` };
  assert.equal(plug(pc, both, { more: newer(true) }).owners('input0', 'input1'), { input0: 'left', input1: 'left' });
  const not = { left: '  - { label: other, match: { kind: keyboard, not: { port: "pci-0000:00:14.0-usbv2-0:2" } } }' };
  assert.equal(plug(pc, not, { more: newer(true) }).owners('input0', 'input1'), { input0: 'host', input1: 'left' });
});

test('what is attached by hand is known by its own socket, and udev agrees', () => {
  const rules = { left: '  - { label: none, match: { sysname: none } }' };
  const more = newer(true);
  const { name: _, ...thing } = thingOf(plug(pc, rules, { more }).unit('input1'));
  const loan = { seat: 'left', thing: { ...thing, name: undefined }, name: 'x', until: undefined, by: 0 };
  assert.equal(plug(pc, rules, { more, loans: [loan] }).owners('input0', 'input1'), { input0: 'host', input1: 'left' });
});

test('identify proposes the socket itself where the path alone names both', () => {
  const ports = (withBus: boolean) => {
    const seen = plug(pc, { left: '  - { label: none, match: { sysname: none } }' }, { more: newer(withBus) });
    const [first] = proposalsOf(seen.unit('input0'), seen.units);
    return [first?.match['port'], first?.also.length];
  };
  assert.equal(ports(true), ['pci-0000:00:14.0-usbv2-0:2', 0]);
  assert.equal(ports(false), [usbPort('2'), 1], 'and says so where nothing tells them apart');
});

test('where udev says nothing of the bus, both are that port', () => {
  assert.equal(plug(pc, seats, { more: newer(false) }).owners('input0', 'input1'), {
    input0: 'conflict',
    input1: 'conflict',
  });
});

test.run();
