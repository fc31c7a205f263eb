import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parts } from '../../agent/core/plan.js';
import type { ActualSeat, DesiredDevice } from '../../agent/core/state.js';
import { nodeKey } from '../../agent/core/state.js';
import type { JournalEntry, NodeSpec } from '../../agent/core/step.js';
import { deedOf } from '../../agent/seat/deeds.js';

/** A keyboard as a seat has it: its head and one node. */
function keyboard(minor: number, properties: Readonly<Record<string, string>>, rule = 'left.yaml:5'): DesiredDevice[] {
  const unit = `/sys/devices/usb/input${minor}`;
  const node: NodeSpec = {
    ...{ class: 'input', name: `event${minor}`, number: { major: 13, minor } },
    ...{ uid: 0, gid: 0, mode: 0o660 },
  };
  const entry = { unit, tags: [], rule, hard: false, knownTo: undefined, properties };
  const entries: JournalEntry[] = [
    { ...entry, id: `+input:input${minor}`, syspath: unit, node: undefined },
    { ...entry, id: `c13:${minor}`, syspath: `${unit}/event${minor}`, node },
  ];
  return entries.map((one) => ({ record: { id: one.id, text: '', tags: [] }, links: [], entry: one }));
}

const nothing: ActualSeat = {
  ...{ container: 'a', audience: 'a', grants: new Map(), nodes: new Map(), links: new Map(), records: new Map() },
  ...{ journal: new Map(), present: () => true, blocked: new Set(), shown: new Set() },
};
/** The seat when all of this has been given and announced. */
const having = (devices: readonly DesiredDevice[], grants = true): ActualSeat => {
  const nodes = devices.flatMap(({ entry: { node } }) => (node === undefined ? [] : [node]));
  return {
    ...nothing,
    grants: new Map(grants ? nodes.map(({ number }) => [`13:${number.minor}`, true]) : []),
    nodes: new Map(nodes.map((node) => [nodeKey(node), node])),
    records: new Map(
      devices.flatMap(({ record }) => (record === undefined ? [] : [[record.id, record.text] as const])),
    ),
    journal: new Map(devices.map(({ entry }) => [entry.id, { ...entry, knownTo: 'a' }])),
  };
};
/** The seat's entry of a unit. */
const partOf = (unit: string, { journal }: ActualSeat) => [...journal.values()].filter((entry) => entry.unit === unit);
const deeds = (wanted: readonly DesiredDevice[], actual: ActualSeat) =>
  parts({ devices: wanted, unknown: [] }, actual).flatMap((part) => deedOf(part, partOf(part.unit, actual)) ?? []);

const one = keyboard(65, { NAME: '"Maker "Best" Keys"' });
const two = keyboard(66, { ID_MODEL: 'Other_Keys' });

test('what comes is a binding for each unit, with its name, nodes and rule', () => {
  assert.equal(deeds([...one, ...two], nothing), [
    {
      ...{ what: 'bind', device: '/sys/devices/usb/input65', name: 'Maker "Best" Keys' },
      ...{ nodes: ['/dev/input/event65'], file: 'left.yaml', line: 5 },
    },
    {
      ...{ what: 'bind', device: '/sys/devices/usb/input66', name: 'Other_Keys' },
      ...{ nodes: ['/dev/input/event66'], file: 'left.yaml', line: 5 },
    },
  ]);
});

test('what leaves is known by what the journal kept of it', () => {
  const [left, ...others] = deeds([...two], having([...one, ...two]));
  assert.equal(others, []);
  assert.equal(
    [left?.what, left?.name, left?.nodes, left?.line],
    ['unbind', 'Maker "Best" Keys', ['/dev/input/event65'], 5],
  );
});

test('a device of that number that comes in the place of another is told apart from it', () => {
  const again = keyboard(65, { NAME: '"New Keys"' }).map((device) => ({
    ...device,
    entry: { ...device.entry, unit: '/sys/devices/usb/input99', syspath: `${device.entry.syspath}-99` },
  }));
  assert.equal(
    deeds(again, having(one)).map(({ what, name, nodes }) => [what, name, nodes]),
    [
      ['unbind', 'Maker "Best" Keys', ['/dev/input/event65']],
      ['bind', 'New Keys', ['/dev/input/event65']],
    ],
  );
});

test('a container that starts again is granted again, which is a binding; another description or line of a rule is none', () => {
  assert.equal(
    deeds(one, having(one, false)).map(({ what, nodes }) => [what, nodes]),
    [['bind', ['/dev/input/event65']]],
  );
  assert.equal(deeds(one, having(one)), []);
  assert.equal(deeds(keyboard(65, { NAME: '"Renamed"' }, 'left.yaml:9'), having(one)), []);
});

test('a head that leaves after its nodes is no second unbinding', () => {
  const [head] = one;
  assert.ok(head);
  assert.equal(deeds([], having([head])), []);
});

test('what was given by hand has no line', () => {
  const [deed] = deeds(keyboard(65, {}, 'hotseat attach'), nothing);
  assert.equal([deed?.file, deed?.line, deed?.name], ['hotseat attach', undefined, 'input65']);
});

test('strays are tidied up without a word', () => {
  assert.equal(deeds([], { ...nothing, grants: new Map([['13:99', true]]) }), []);
});

test.run();
