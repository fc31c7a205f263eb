// How a seat receives inputs: which of their nodes it gets, and which its display server opens through the holder.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decider } from '../../agent/core/decide.js';
import { desiredUnit } from '../../agent/core/desired.js';
import { type Device, recordId, type SeatSubsystem, type Unit } from '../../agent/core/device.js';
import { lent } from '../../agent/core/loan.js';
import type { Policy } from '../../agent/core/policy.js';
import { receiptChanges } from '../../agent/core/receipts.js';
import { isNewer } from '../../agent/descriptors/libseat.js';
import { parseSeat } from '../../agent/policy/parse.js';

const at = '/sys/devices/pci0000:00/0000:00:05.0/usb1/1-1';

function device(subsystem: string, sysname: string, minor?: number): Device {
  const major = { input: 13, sound: 116 }[subsystem] ?? 240;
  return {
    ...{ syspath: `${at}/${sysname}`, subsystem, sysname, devtype: undefined, tags: [], ancestors: [], attributes: {} },
    ...{
      node: minor === undefined ? undefined : `/dev/input/${sysname}`,
      properties: { ID_PATH: 'pci-0000:00:14.0-usb-0:1' },
    },
    number: minor === undefined ? undefined : { major, minor },
    links: sysname === 'event3' ? ['/dev/input/by-path/pci-0000:00:14.0-usb-0:1-event-joystick'] : [],
  };
}
const unit = (subsystem: SeatSubsystem, head: Device, ...nodes: Device[]): Unit => ({
  ...{ id: head.syspath, subsystem, head, nodes },
});
const pad = unit(
  'input',
  device('input', 'input7'),
  device('input', 'event3', 67),
  device('input', 'js0', 0),
  device('input', 'mouse0', 32),
);
const speakers = unit(
  'sound',
  device('sound', 'card1'),
  device('sound', 'pcmC1D0p', 3),
  device('sound', 'controlC1', 2),
);
const raw = unit('hidraw', device('hidraw', 'hidraw0', 0), device('hidraw', 'hidraw0', 0));

function policyOf(receive: string): Policy {
  const text = `seat: left\n${receive}container: { engine: lxc, name: left }\ndevices:\n  - { label: x, match: { port: "pci-0000:00:14.0-usb-0:1" } }\n`;
  const parsed = parseSeat('left.yaml', text);
  if ('diagnostics' in parsed) throw new Error(JSON.stringify(parsed.diagnostics));
  return { revision: 'test', console: 'mute', seats: [parsed.seat] };
}

/** Of each device with a node: whether it comes as one (n), and as a descriptor (d); and its stable names. */
function received(receive: string, one: Unit): string[] {
  const [rule] = policyOf(receive).seats[0]?.rules ?? [];
  if (rule === undefined) throw new Error('no rule');
  const accounts = { user: () => 0, group: () => 0 };
  const { devices } = desiredUnit({ unit: one, claim: { seat: 'left', rule } }, accounts, (shown) => ({
    record: { id: recordId(shown), text: '', tags: [] },
    properties: {},
  }));
  return devices.flatMap(({ entry: { node, served, syspath }, links }) => {
    const ways = `${node === undefined ? '' : 'n'}${served === undefined ? '' : 'd'}`;
    return ways === '' ? [] : [[syspath.slice(at.length + 1), ways, ...links.map(({ name }) => name)].join(' ')];
  });
}

test('an input comes as the seat file says, and what cannot be revoked comes as a node or not at all', () => {
  const nodes = ['event3 n by-path/pci-0000:00:14.0-usb-0:1-event-joystick', 'js0 n', 'mouse0 n'];
  assert.equal(received('', pad), nodes);
  assert.equal(received('receive: node\n', pad), nodes);
  assert.equal(received('receive: descriptor\n', pad), ['event3 d']);
  assert.equal(received('receive: both\n', pad), [
    'event3 nd by-path/pci-0000:00:14.0-usb-0:1-event-joystick',
    'js0 n',
    'mouse0 n',
  ]);
});

test('raw nodes go the same way, and sound comes as nodes whatever is said', () => {
  assert.equal(received('receive: descriptor\n', raw), ['hidraw0 d']);
  assert.equal(received('receive: both\n', raw), ['hidraw0 nd']);
  assert.equal(received('receive: descriptor\n', speakers), received('', speakers));
});

test('what is given by hand comes as the seat receives everything', () => {
  const thing = { subsystem: 'input' as const, path: 'pci-0000:00:14.0-usb-0:1', serial: '', sysname: undefined };
  const loan = { seat: 'left', thing: { ...thing, name: undefined, uniq: undefined, phys: undefined }, name: 'pad' };
  const loans = [{ ...loan, until: undefined, by: 0 }];
  assert.is(lent({ ...policyOf('receive: descriptor\n'), loans })[0]?.rule.receive, 'descriptor');
  assert.is(lent({ ...policyOf(''), loans })[0]?.rule.receive, undefined);
});

test('a plan says what would come in another way', () => {
  const before = new Map([[pad.id, decider(policyOf(''))(pad)]]);
  const changes = (receive: string) => receiptChanges([pad], before, decider(policyOf(receive)));
  assert.equal(changes('receive: node\n'), []);
  assert.equal(changes('receive: both\n').length, 1);
  assert.match(changes('receive: descriptor\n')[0] ?? '', /^left gets .* as a descriptor, no longer as a node$/);
});

test('a libseat from 0.9 on is known by its own texts', () => {
  assert.ok(isNewer('\0[%s:%d] Device paused (%s): %d:%d\0'));
  assert.ok(isNewer('\0[%s:%d] Could not read and queue events: %s\0'));
  assert.not.ok(isNewer('\0[%s:%d] Could not dispatch pending messages: %s\0'));
});

test.run();
