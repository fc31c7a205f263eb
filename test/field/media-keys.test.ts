// A USB keyboard with media keys (two interfaces, three inputs) and a USB headset with buttons, had by kind and vendor.
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { explanationOf, inventoryOf, leftBeside, leftOf, planOf } from '../../agent/control/inspect.js';
import { HostRules } from '../../agent/host/host-rules.js';
import { consumerControl, headsetButtons, keyboard, mouse, systemControl } from './driver/capabilities.js';
import { field, plug, usbPort } from './driver/field.js';

const pc = field(import.meta.url);
pc.usb('3', { ids: '046d:c31c', maker: 'Logitech', product: 'USB Keyboard' })
  .hid(0, [{ name: 'Logitech USB Keyboard', can: keyboard }])
  .hid(1, [
    { name: 'Logitech USB Keyboard Consumer Control', can: consumerControl },
    { name: 'Logitech USB Keyboard System Control', can: systemControl },
  ]);
pc.usb('4', { ids: '047f:ab04', maker: 'Plantronics', product: 'Savi' })
  .card(0, 'Series', ['pcmC#D0p', 'pcmC#D0c'])
  .hid(3, [{ name: 'Plantronics Savi', can: headsetButtons }]);
pc.usb('5', { ids: '1c4f:0034', product: 'Combo receiver' })
  .hid(0, [{ name: 'Combo Keyboard', can: keyboard }])
  .hid(1, [
    { name: 'Combo Mouse', can: mouse },
    { name: 'Combo Consumer Control', can: consumerControl },
  ]);

const ofSeat = (
  more = '',
) => `  - { label: keyboard, match: { kind: [keyboard, mouse], attr: { idVendor: 046d } }${more} }
  - { label: headset, match: { kind: sound, ID_VENDOR_ID: "047f" }${more} }`;

test('all keys of the keyboard and of the headset come along, and none is left to the host’s logind', () => {
  const seen = plug(pc, { left: ofSeat() });
  for (const name of ['input0', 'input1', 'input2', 'card0', 'input3']) assert.is(seen.owner(name), 'left', name);
  for (const name of ['input1', 'input2', 'input3'])
    for (const { sysname, tags } of seen.unit(name).nodes) assert.not.ok(tags.includes('power-switch'), sysname);
  assert.equal(seen.left(), []);
  const unit = seen.unit('input2');
  const { trace } = explanationOf(unit, seen.verdict('input2'), 'unversioned', []);
  assert.equal([trace[0]?.failed, trace[0]?.along], [undefined, seen.unit('input0').id]);
});

test('devices say what each thing is: a headset’s card is sound, with what it plays and hears', () => {
  const seen = plug(pc, { left: ofSeat() });
  const infos = inventoryOf(seen.units, seen.verdicts, [], seen.policy.seats, 'x');
  const kindsOf = (name: string) => infos.find(({ device }) => device === seen.unit(name).id)?.kinds;
  assert.equal(kindsOf('card0'), ['sound', 'microphone', 'speaker']);
  assert.equal(kindsOf('input1'), ['keys']);
  assert.equal(kindsOf('input0'), ['keyboard']);
});

test('a node that udevd looked at before it was told of the head is looked at again, once', () => {
  const seen = plug(pc, { left: ofSeat() });
  const host = new HostRules(pino({ level: 'silent' }));
  const unit = seen.unit('input1');
  const early = unit.nodes.map((node) => {
    const { HOTSEAT_SEAT: _, ...properties } = node.properties;
    return { ...node, properties };
  });
  const tell = (nodes: typeof unit.nodes) =>
    pc.sysfs.synthesize(() => host.tell({ ...unit, nodes }, seen.verdict('input1')));
  assert.equal([tell(unit.nodes), tell(early), tell(early)], [false, true, false]);
});

test('without it they stay, and that is known', () => {
  const seen = plug(pc, { left: ofSeat(', whole: false') });
  assert.equal(seen.left(), ['input1', 'input2', 'input3']);
  const [left] = leftOf(seen.units, seen.verdicts);
  assert.equal(left, {
    ...{ device: '/dev/input/event1', name: 'Logitech USB Keyboard Consumer Control' },
    reason:
      'left has another part of the same physical device (left.yaml:4): whole: true in that rule would bring it along',
  });
  assert.equal(planOf(seen.policy, seen.units, new Map()).left.length, 3);
  const beside = leftBeside(seen.unit('input0'), seen.units, seen.verdicts);
  const { left: explained } = explanationOf(seen.unit('input0'), seen.verdict('input0'), 'x', [], beside);
  assert.equal(
    explained.map(({ device }) => device),
    ['/dev/input/event1', '/dev/input/event2'],
    'of this keyboard alone',
  );
});

test('what a rule asks for by itself does not come along, and what is not at the port or is excluded neither', () => {
  const seen = plug(pc, {
    left: `  - { label: a, match: { kind: keyboard, port: "${usbPort('3:1.0')}" } }
  - { label: b, match: { kind: sound, subsystem: sound } }
  - { label: c, match: { kind: keyboard, port: "${usbPort('5')}", not: { kind: keys } } }`,
    right: '  - { label: mice, match: { kind: mouse } , whole: false }',
  });
  assert.equal(seen.owners('input0', 'input1', 'input3', 'input4', 'input5', 'input6'), {
    ...{ input0: 'left', input1: 'host', input3: 'host', input4: 'left', input5: 'right', input6: 'host' },
  });
});

test('what two seats have a part of goes to neither, and to no login prompt of the host', () => {
  const seen = plug(pc, {
    left: '  - { label: keyboards, match: { kind: keyboard } }',
    'right-two': '  - { label: mice, match: { kind: mouse } }',
  });
  assert.equal(seen.owners('input4', 'input5', 'input6'), { input4: 'left', input5: 'right-two', input6: 'conflict' });
  assert.is(seen.unit('input6').head.properties['ID_SEAT'], 'seat-hotseat');
});

test('another policy takes back what came along', () => {
  plug(pc, { 'left-one': ofSeat() });
  const seen = plug(pc, { 'left-one': ofSeat(', whole: false') });
  assert.is(seen.owner('input1'), 'host');
});

test.run();
