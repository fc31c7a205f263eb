import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PlainNodes } from '../../agent/assign/plain-nodes.js';
import { plainChanges } from '../../agent/core/changes.js';
import { desiredUnit } from '../../agent/core/desired.js';
import { plan } from '../../agent/core/plan.js';
import type { Policy, SeatPolicy } from '../../agent/core/policy.js';
import type { ActualSeat } from '../../agent/core/state.js';
import { unitOrder } from '../../agent/core/wanted.js';
import { isPlainThere, isStillAt, plainNumber } from '../../agent/kernel/device-at.js';
import { driverOf } from '../../agent/kernel/majors.js';
import { formatDiagnostic } from '../../agent/policy/diagnostics.js';
import { parseSeat } from '../../agent/policy/parse.js';

const file = (seat: string, extra: string) =>
  `seat: ${seat}\ncontainer: { engine: lxc, name: ${seat} }\nextra: ${extra}\ndevices: []\n`;
const read = (seat: string, extra: string): SeatPolicy => {
  const parsed = parseSeat(`${seat}.yaml`, file(seat, extra));
  if ('diagnostics' in parsed) throw new Error(parsed.diagnostics.map(formatDiagnostic).join('\n'));
  return parsed.seat;
};
const policy = (...seats: SeatPolicy[]): Policy => ({ revision: 'one', seats, console: 'mute' });

/** The nodes of a PC, by name. */
const numbers = new Map([
  ['nvidia0', { major: 195, minor: 0 }],
  ['kfd', { major: 235, minor: 0 }],
]);
function nodesOf(...seats: SeatPolicy[]): PlainNodes {
  const nodes = new PlainNodes({ table: { plainNumber: (name) => numbers.get(name) }, isGuarded: () => true });
  nodes.setPolicy(policy(...seats));
  return nodes;
}
const accounts = { user: () => 0, group: (name: string) => (name === 'video' ? 44 : name === 'render' ? 992 : 0) };
const present = () => {
  throw new Error('udev does not know it');
};

test('extra names joint nodes of sound and nodes of graphics drivers, and nothing else', () => {
  const seat = read(
    'left',
    '[snd/seq, nvidia0, nvidiactl, nvidia-modeset, nvidia-uvm, nvidia-uvm-tools, kfd, nvidia0]',
  );
  assert.equal(
    seat.rules.map(({ label }) => label),
    ['snd/seq'],
  );
  assert.equal(
    seat.nodes?.map(({ name }) => name),
    ['nvidia0', 'nvidiactl', 'nvidia-modeset', 'nvidia-uvm', 'nvidia-uvm-tools', 'kfd'],
  );
  assert.is(read('left', 'snd/timer').nodes, undefined);
  for (const name of ['mem', 'nvidia', 'nvidia0/../mem', 'nvidia-caps', '/dev/kfd', 'dri/card0']) {
    assert.throws(() => read('left', name), /"extra" must be snd\/seq, snd\/timer, nvidia0, .* or kfd/, name);
  }
});

test('every seat that names one gets it, with the group that its driver is given to; one that is not there is named', () => {
  const nodes = nodesOf(read('left', '[nvidia0, kfd]'), read('right', '[nvidia0, nvidia1]'));
  const specs = ['left', 'right'].map((seat) =>
    nodes.of(seat).flatMap((grantee) => desiredUnit(grantee, accounts, present).devices.map(({ entry }) => entry.node)),
  );
  const node = (name: string, gid: number) => ({
    ...{ class: 'plain', name, number: numbers.get(name) },
    ...{ uid: 0, gid, mode: 0o660 },
  });
  assert.equal(specs, [[node('nvidia0', 44), node('kfd', 992)], [node('nvidia0', 44)]]);
  assert.equal(nodes.seatsOf('/dev/nvidia0'), ['left', 'right']);
  const reason =
    'right (right.yaml:3) asks for it, and this PC has no such node, or it is not of that driver: load the driver';
  assert.equal(nodes.withheld(), [{ device: '/dev/nvidia1', reason }]);
  assert.is(nodes.granteeOf('left', '/dev/nvidia1'), undefined);
});

test('one that the guard cannot cover goes to nobody, and that is said', () => {
  const nodes = nodesOf(read('left', 'kfd'));
  const open = new PlainNodes({ table: { plainNumber: (name) => numbers.get(name) }, isGuarded: () => false });
  open.setPolicy(policy(read('left', 'kfd')));
  assert.equal([nodes.of('left').length, open.of('left').length], [1, 0]);
  assert.match(open.withheld()[0]?.reason ?? '', /^left \(left\.yaml:3\) asks for it, and the guard cannot be made to/);
});

test('it is found by its name or its path, with whose it is', () => {
  const nodes = nodesOf(read('left', '[nvidia0, nvidia1]'));
  const found = (name: string) => {
    const { unit, verdict } = nodes.find(name) ?? {};
    return unit && [unit.id, unit.nodes.length, verdict?.kind];
  };
  assert.equal(found('nvidia0'), ['/dev/nvidia0', 1, 'seat']);
  assert.equal(found('/dev/nvidia1'), ['/dev/nvidia1', 0, 'seat']);
  assert.equal(found('/dev/kfd'), ['/dev/kfd', 1, 'host']);
  for (const name of ['nvidia7', '/dev/mem', 'event3', '']) assert.is(found(name), undefined, name);
});

test('a name that is none of these is not looked at: anybody may ask, and lstat of a path of his own may never end', () => {
  const looked: string[] = [];
  const plainNumber = (name: string) => {
    looked.push(name);
    return undefined;
  };
  const nodes = new PlainNodes({ table: { plainNumber }, isGuarded: () => true });
  for (const name of ['/dev/../home/anna/fuse/x', '../home/anna/fuse/x', '/dev/fd/3', 'nvidia0/../../home', '/dev/'])
    assert.is(nodes.find(name), undefined, name);
  assert.equal(looked, []);
  nodes.find('nvidia0');
  assert.equal(looked, ['nvidia0']);
});

test('everything else is given before nodes in /dev itself, one of which may not be mountable', () => {
  const ids = ['/dev/kfd', '/sys/devices/a/0003:046D:C52B.0001/hidraw/hidraw0', '/sys/devices/b/input/input3'];
  assert.equal(ids.sort(unitOrder)[0], '/sys/devices/b/input/input3');
});

test('a node of another driver is none of these', () => {
  assert.is(plainNumber('/dev/null'), undefined);
  assert.is(plainNumber('/dev/nvidia-that-is-not-there'), undefined);
  assert.not.ok(isPlainThere({ syspath: '/dev/null', incarnation: '1:3' }));
  assert.not.ok(isStillAt({ major: 1, minor: 3 }, { syspath: '/dev/null', incarnation: '1:3' }));
});

test('it comes as a node alone, and leaves without a word: nobody was told, and nothing can be taken back', () => {
  const [grantee] = nodesOf(read('left', 'nvidia0')).of('left');
  const desired = grantee === undefined ? { devices: [], unknown: [] } : desiredUnit(grantee, accounts, present);
  const entry = desired.devices[0]?.entry;
  assert.ok(entry?.node !== undefined);
  const empty: ActualSeat = {
    ...{ container: 'a', audience: 'a', grants: new Map(), nodes: new Map(), links: new Map(), records: new Map() },
    ...{ journal: new Map(), present: () => true, blocked: new Set(), shown: new Set() },
  };
  const steps = (wanted: typeof desired, actual: ActualSeat) => plan(wanted, actual).map(({ step }) => step);
  assert.equal(steps(desired, empty), ['intend', 'grant', 'node', 'show']);
  // A container that started on top of its grafts is taken to know everything that is in the seat.
  const known = { ...entry, knownTo: 'a', toldTo: 'a' };
  const full: ActualSeat = {
    ...{ ...empty, grants: new Map([['195:0', true]]), nodes: new Map([['plain/nvidia0', entry.node]]) },
    ...{ journal: new Map([[entry.id, known]]), shown: new Set(['nvidia0']) },
  };
  assert.equal(steps(desired, full), []);
  assert.equal(steps({ devices: [], unknown: [] }, full), ['deny', 'hide', 'unlink', 'forget']);
});

test('a plan says whose nodes change, and nothing of those that stay', () => {
  const before = [read('left', '[nvidia0, kfd]'), read('right', 'nvidia0')];
  const after = [read('left', 'kfd'), read('right', '[nvidia0, nvidiactl]')];
  assert.equal(plainChanges(before, after), [
    { device: '/dev/nvidia0', name: 'nvidia0', from: 'left and right', to: 'right' },
    { device: '/dev/nvidiactl', name: 'nvidiactl', from: 'host', to: 'right' },
  ]);
});

test('the driver of a number is told by what the kernel lists, of character devices alone', () => {
  const devices = 'Character devices:\n  1 mem\n195 nvidia-frontend\n245 hidraw\n\nBlock devices:\n234 kfd\n';
  assert.equal(
    [195, 245, 234, 19].map((major) => driverOf(major, devices)),
    ['nvidia-frontend', 'hidraw', undefined, undefined],
  );
});

test.run();
