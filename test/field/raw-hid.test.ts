// A security key (a keyboard's interface and FIDO's) and a Stream Deck at a hub; a MIDI 2.0 piano beside it.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inventoryOf } from '../../agent/control/inspect.js';
import type { Explanation } from '../../agent/control/messages.js';
import { answerer } from '../../agent/control/requests.js';
import { hostWords } from '../../agent/control/status.js';
import { thingOf } from '../../agent/core/loan.js';
import type { ControlError } from '../../agent/core/refusal.js';
import { Helpers } from '../../agent/kernel/helpers.js';
import { SlowAttributes } from '../../agent/udev/slow-attributes.js';
import { keyboard } from './driver/capabilities.js';
import { field, plug, type Seen, usbPort } from './driver/field.js';

const pc = field(import.meta.url);
pc.usb('1.2', { ids: '1050:0407', maker: 'Yubico', product: 'YubiKey OTP+FIDO+CCID' })
  .hid(0, [{ name: 'Yubico YubiKey', can: keyboard }], { raw: true })
  .hid(1, [], { raw: true });
pc.usb('1.3', { ids: '0fd9:0060', maker: 'Elgato', product: 'Stream Deck', serial: 'AL00A00001' }).hid(0, [], {
  raw: true,
});
pc.usb('5', { ids: '0582:02e7', maker: 'Roland', product: 'A-88MK2' }).card(0, 'A88MKII', [
  'midiC#D0',
  'umpC#D0',
  'nextC#D0',
]);

const hub = (more: string) => ({ left: `  - { label: hub, match: { port: "${usbPort('1')}" }${more} }` });
const reasons = (seen: Seen) =>
  inventoryOf(seen.units, seen.verdicts, seen.hidraws.alone(), seen.policy.seats, 'x').map(
    ({ nodes, owner, reason }) => [nodes[0], owner, reason],
  );

test('raw nodes without an input come along with the port, and the host steps back', () => {
  const seen = plug(pc, hub(', hidraw: true'));
  assert.equal(seen.raws('left').sort(), ['hidraw0', 'hidraw1', 'hidraw2']);
  for (const { unit } of seen.hidraws.alone()) assert.is(unit.head.properties['ID_SEAT'], 'seat-left', unit.id);
  assert.equal(reasons(seen).slice(-2), [
    ['/dev/hidraw1', 'left', undefined],
    ['/dev/hidraw2', 'left', undefined],
  ]);
});

test('they are had by what they are as well, and with the rest of their device', () => {
  const seen = plug(pc, {
    left: '  - { label: deck, match: { ID_VENDOR_ID: 0fd9 }, hidraw: true }',
    right: '  - { label: key, match: { kind: keyboard, ID_VENDOR_ID: "1050" }, hidraw: true }',
  });
  assert.equal(seen.raws('left'), ['hidraw2']);
  assert.equal(seen.raws('right').sort(), ['hidraw0', 'hidraw1']);
});

test('attached by hand, a key goes with its raw nodes', () => {
  const seats = { ...hub(', hidraw: true'), right: '  - { label: none, match: { sysname: none } }' };
  const thing = thingOf(plug(pc, seats).unit('input0'));
  const seen = plug(pc, seats, { loans: [{ seat: 'right', thing, name: 'key', until: undefined, by: 0 }] });
  assert.equal([seen.raws('left'), seen.raws('right').sort()], [['hidraw2'], ['hidraw0', 'hidraw1']]);
});

test('what two seats ask for goes to neither, and what nobody asks for is said', () => {
  const attr = '{ match: { attr: { idVendor: 0fd9 } }, hidraw: true, label: deck }';
  const seen = plug(pc, { left: `  - ${attr}`, right: `  - ${attr}` });
  assert.equal([...seen.raws('left'), ...seen.raws('right')], []);
  assert.equal(seen.hidraws.withheld(), [
    { device: '/dev/hidraw2', reason: 'more than one seat asks for it: left, right' },
  ]);
  assert.equal(plug(pc, hub('')).raws('left'), []);
});

/** As Steam, QMK and Elgato tell their users to write them. */
const admins = {
  '60-steam-input.rules': 'KERNEL=="hidraw*", ATTRS{idVendor}=="1050", MODE="0660", TAG+="uaccess"\n',
  '99-streamdeck.rules': 'KERNEL=="hidraw*", ATTRS{idVendor}=="0fd9", TAG+="uaccess", ENV{ID_SEAT}="seat9"\n',
};

test('explain knows what devices lists, and what goes elsewhere is said', async () => {
  const ask = (seen: Seen, device: string) => {
    const { table, hidraws, policy, verdicts: judged } = seen;
    const assignments = { hidraws, judged, revision: 'x', seats: policy.seats };
    return answerer({ assignments, table, slow: new SlowAttributes(new Helpers()) } as never)(
      { verb: 'explain', device },
      { uid: 0, pid: 1 },
    ) as Promise<Explanation>;
  };
  const { owner, trace } = await ask(plug(pc, hub('')), '/dev/hidraw2');
  assert.equal([owner, trace[0]?.failed], ['host', '`hidraw: true` is missing in it']);
  const given = await ask(plug(pc, hub(', hidraw: true')), 'hidraw2');
  assert.equal([given.owner, given.trace[0]?.failed], ['left', undefined]);
  const refused = await ask(plug(pc, hub('')), '/dev/hidraw0').catch((error: ControlError) => error);
  assert.match(
    (refused as ControlError).message,
    /^\/dev\/hidraw0 goes where the inputs of its device go, .*: name input0$/,
  );
});

test('whoever opens a raw node reads the keyboard: the host’s users lose it, whether it comes along or not', () => {
  for (const more of [', hidraw: true', '']) {
    const seen = plug(pc, { left: `  - { label: key, match: { kind: keyboard }${more} }` }, { more: admins });
    const { head } = seen.table.rawUnit(seen.rawId('hidraw0')) ?? {};
    assert.equal([head?.properties['ID_SEAT'], head?.tags.includes('uaccess')], ['seat-left', false], more);
  }
  const seen = plug(pc, { left: '  - { label: mice, match: { kind: mouse }, hidraw: true }' }, { more: admins });
  const { head } = seen.table.rawUnit(seen.rawId('hidraw0')) ?? {};
  assert.equal([head?.properties['ID_SEAT'], head?.tags.includes('uaccess')], [undefined, true], 'the host’s own');
});

test('a rule that has the last word on a raw node is named', () => {
  const seen = plug(pc, hub(', hidraw: true'), { more: admins });
  const said = hostWords(seen.units, seen.verdicts, seen.hidraws.judged());
  assert.equal(
    said.map(({ device, reason }) => [device, reason.replace(/: .*/, '')]),
    [
      ['/dev/hidraw2', 'udev has it at seat9 instead of seat-left (/run/udev/rules.d/99-streamdeck.rules:1)'],
      [
        '/dev/hidraw2',
        "udev gives the host's own users access by the tag uaccess (/run/udev/rules.d/99-streamdeck.rules:1)",
      ],
    ],
  );
});

test('the piano’s own MIDI 2.0 node comes with its card, and so does a kind of node that nobody knows yet', () => {
  const seen = plug(pc, { left: `  - { label: piano, match: { port: "${usbPort('5')}" } }` });
  assert.equal(
    seen.unit('card0').nodes.map(({ sysname }) => sysname),
    ['midiC0D0', 'nextC0D0', 'umpC0D0', 'controlC0'],
  );
});

test('what is at a seat’s port and not given is listed with the reason', () => {
  const seen = plug(pc, { left: `  - { label: mice, match: { port: "${usbPort('1')}", kind: mouse }, hidraw: true }` });
  const why = 'at a port of left (left.yaml:4): kind is another, wanted mouse';
  assert.equal(
    reasons(seen).filter(([, , reason]) => reason !== undefined),
    ['/dev/input/event0', '/dev/hidraw1', '/dev/hidraw2'].map((node) => [node, 'host', why]),
  );
  const [key] = reasons(plug(pc, hub(', hidraw: true'))).filter(([node]) => node === '/dev/hidraw1');
  assert.equal(key, ['/dev/hidraw1', 'left', undefined]);
});

test.run();
