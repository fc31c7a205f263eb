// Game controllers whose motion sensors, touchpad and raw node belong to the pad: a DualSense, a PS3 pad, four pads at one receiver,
// two at one adapter that says the same of both.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isThing, thingOf } from '../../agent/core/loan.js';
import type { Loan } from '../../agent/core/policy.js';
import { alike, proposalsOf } from '../../agent/identify/proposal.js';
import { motionSensors, pad, padTouchpad } from './driver/capabilities.js';
import { field, plug, usbPort } from './driver/field.js';

const pc = field(import.meta.url);
const uniq = '4c:b9:9b:00:00:01';
pc.usb('4', { ids: '054c:0ce6', maker: 'Sony Interactive Entertainment', product: 'DualSense Wireless Controller' })
  .card(0, 'Controller', ['pcmC#D0p', 'pcmC#D0c'])
  .hid(
    3,
    [
      { name: 'DualSense', uniq, can: pad },
      { name: 'DualSense Motion Sensors', uniq, can: motionSensors },
      { name: 'DualSense Touchpad', uniq, can: padTouchpad },
    ],
    { raw: true },
  );
pc.usb('2', { ids: '054c:0268', maker: 'Sony', product: 'PLAYSTATION(R)3 Controller' }).hid(
  0,
  [
    { name: 'PS3 Controller', can: pad },
    { name: 'PS3 Controller Motion Sensors', can: motionSensors },
  ],
  { raw: true },
);
const receiver = pc.usb('3', {
  ids: '045e:0719',
  maker: '©Microsoft',
  product: 'Xbox 360 Wireless Receiver',
  serial: 'FEE5',
});
for (const number of [0, 2, 4, 6]) receiver.plain(number, { name: 'Xbox 360 Wireless Receiver', can: pad });
const twin = { name: 'DragonRise Inc.   Generic   USB  Joystick', can: pad };
pc.usb('6', { ids: '0079:0006', product: 'Generic USB Joystick' }).hid(0, [twin, twin]);
pc.usb('7', { ids: '045e:02fe', maker: 'Microsoft', product: 'XBOX ACC' }).gip(0, [
  { name: 'Microsoft X-Box One pad', can: pad, headset: 'Chat' },
  { name: 'Microsoft X-Box One Elite 2 pad', can: pad },
]);

test('of two pads at one adapter each is its own, with its headset', () => {
  const seen = plug(pc, {
    left: '  - { label: hers, match: { kind: joystick, attr: { name: "Microsoft X-Box One pad" } } }',
    right: '  - { label: his, match: { kind: joystick, attr: { name: "*Elite*" } }, whole: true }',
  });
  assert.equal(seen.owners('input11', 'card1', 'input12'), { input11: 'left', card1: 'left', input12: 'right' });
  const alone = plug(pc, { left: '  - { label: hers, match: { kind: joystick, attr: { name: "*One pad" } } }' });
  assert.equal(alone.owners('input11', 'input12'), { input11: 'left', input12: 'host' });
  assert.equal(alone.left(), []);
});

test('a rule for pads brings all of a pad, its raw node and its sound card as well', () => {
  const seen = plug(pc, { left: '  - { label: pads, match: { kind: joystick, ID_VENDOR_ID: "054c" }, hidraw: true }' });
  for (const name of ['input0', 'input1', 'input2', 'card0', 'input3', 'input4'])
    assert.is(seen.owner(name), 'left', name);
  assert.equal(seen.raws('left'), ['hidraw0', 'hidraw1']);
});

test('a pad that is attached by hand goes with all of it, its raw node as well', () => {
  const seats = {
    left: '  - { label: pads, match: { kind: joystick, ID_VENDOR_ID: "054c" }, hidraw: true }',
    right: '  - { label: none, match: { sysname: none } }',
  };
  const [first, ...rest] = ['input0', 'input1', 'input2', 'card0'].map((name) => thingOf(plug(pc, seats).unit(name)));
  assert.ok(first);
  const loan: Loan = { seat: 'right', thing: first, parts: rest, name: 'pad', until: undefined, by: 0 };
  const seen = plug(pc, seats, { loans: [loan] });
  assert.equal(seen.owners('input0', 'input2', 'card0', 'input3'), {
    ...{ input0: 'right', input2: 'right', card0: 'right', input3: 'left' },
  });
  assert.equal([seen.raws('left'), seen.raws('right')], [['hidraw1'], ['hidraw0']]);
});

test('of a receiver for several, each pad is its own where rules name them', () => {
  const port = (number: number) => usbPort(`3:1.${number}`);
  const seen = plug(pc, {
    left: `  - { label: one, match: { kind: joystick, port: ["${port(0)}", "${port(2)}"] } }`,
    right: `  - { label: three, match: { kind: joystick, port: "${port(4)}" } }`,
  });
  assert.equal(seen.owners('input5', 'input6', 'input7', 'input8'), {
    ...{ input5: 'left', input6: 'left', input7: 'right', input8: 'host' },
  });
  assert.equal(seen.left(), [], 'another person’s pad is not left behind');
});

test('one of them, however a rule tells it, brings no other along', () => {
  const seen = plug(pc, { left: `  - { label: one, match: { kind: joystick, ID_PATH: "${usbPort('3:1.2')}" } }` });
  assert.equal(seen.owners('input5', 'input6', 'input7'), { input5: 'host', input6: 'left', input7: 'host' });
});

test('identify proposes the one that was touched, and of two that nothing tells apart says that both come', () => {
  const seen = plug(pc, { left: '  - { label: none, match: { sysname: none } }' });
  assert.equal(
    proposalsOf(seen.unit('input6'), seen.units).map(({ match, also }) => [match, also]),
    [[{ port: usbPort('3:1.2') }, []]],
    'the serial number is that of the receiver',
  );
  assert.is(alike(seen.unit('input6'), seen.units).length, 3);
  const [one, other] = [seen.unit('input9'), seen.unit('input10')];
  assert.ok(isThing(thingOf(one), thingOf(other)), 'attach asks for --force, and names the other');
  assert.equal(
    proposalsOf(one, seen.units).map(({ also }) => also),
    [['/dev/input/event10 DragonRise Inc.   Generic   USB  Joystick']],
  );
});

test('stable names with a letter beyond ASCII are there in the seat', () => {
  const seen = plug(pc, { left: `  - { label: one, match: { port: "${usbPort('3:1.0')}" } }` });
  const links = seen.desired('left').devices.flatMap((device) => device.links.map(({ name }) => name));
  assert.ok(
    links.some((name) => name.startsWith('by-id/usb-©Microsoft_Xbox_360_Wireless_Receiver')),
    links.join(),
  );
});

test.run();
