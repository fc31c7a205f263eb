import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { closure, type Indexed, restricted } from '../../agent/core/closure.js';
import { numberText } from '../../agent/core/device.js';
import { Entries } from '../../agent/core/entries.js';
import { Links } from '../../agent/core/links.js';
import { type Part, parts } from '../../agent/core/plan.js';
import { type ActualSeat, type DesiredDevice, nodeKey } from '../../agent/core/state.js';
import type { JournalEntry, LinkSpec, NodeSpec, Step } from '../../agent/core/step.js';
import { Wanted } from '../../agent/core/wanted.js';

/** A device of a small world, in which names, numbers and links are soon taken twice. */
interface Thing {
  readonly unit: number;
  readonly name: number;
  readonly minor: number;
  readonly links: readonly number[];
}

const few = fc.integer({ min: 0, max: 4 });
const thing: fc.Arbitrary<Thing> = fc.record({
  unit: fc.integer({ min: 0, max: 5 }),
  name: few,
  minor: few,
  links: fc.uniqueArray(few, { maxLength: 2 }),
});
const unitName = (unit: number): string => `/sys/devices/usb${unit}/input/input${unit}`;

function deviceOf({ unit, name, minor, links }: Thing): DesiredDevice {
  const id = `c13:${minor}`;
  const node: NodeSpec = {
    ...{ class: 'input', name: `event${name}`, number: { major: 13, minor }, uid: 0, gid: 0, mode: 0o660 },
  };
  const syspath = `${unitName(unit)}/event${name}`;
  return {
    record: { id, text: `E:UNIT=${unit}\n`, tags: [] },
    links: links.map((link): LinkSpec => ({ class: 'input', name: `by-id/link${link}`, node: node.name })),
    entry: {
      ...{ id, syspath, unit: unitName(unit), node, tags: [], properties: {}, rule: 'left.yaml:3', hard: false },
      knownTo: undefined,
    },
  };
}

/** A seat that was given some things, must have others, and in which something was spoilt. */
interface World {
  readonly had: readonly Thing[];
  readonly wants: readonly Thing[];
  readonly spoilt: readonly number[];
}

const world: fc.Arbitrary<World> = fc.record({
  had: fc.uniqueArray(thing, { maxLength: 6, selector: ({ minor }) => minor }),
  wants: fc.uniqueArray(thing, { maxLength: 6, selector: ({ minor }) => minor }),
  spoilt: fc.uniqueArray(few, { maxLength: 2 }),
});

function seatOf({ had, wants, spoilt }: World): { seat: Indexed; actual: ActualSeat } {
  const wanted = new Wanted();
  for (const unit of new Set(wants.map((one) => one.unit))) {
    const devices = wants.filter((one) => one.unit === unit).map(deviceOf);
    wanted.set(unitName(unit), devices);
  }
  const devices = had.map(deviceOf);
  const entries = new Entries();
  for (const { entry } of devices) entries.put({ ...entry, knownTo: 'a' });
  const links = new Links(devices.flatMap((device) => device.links));
  const nodes = devices.flatMap(({ entry: { node } }) => node ?? []);
  const kept = nodes.filter(({ number }) => !spoilt.includes(number.minor));
  const actual: ActualSeat = {
    ...{ container: 'a', audience: 'a', shown: new Set(), blocked: new Set(), present: () => true },
    grants: new Map(kept.map(({ number }) => [numberText(number), true])),
    nodes: new Map(kept.map((node) => [nodeKey(node), node])),
    links: links.all,
    records: new Map(
      devices.flatMap(({ record }) => (record === undefined ? [] : [[record.id, record.text] as const])),
    ),
    journal: entries.all,
  };
  return { seat: { wanted, entries, links }, actual };
}

const text = (steps: readonly Step[]): string[] => steps.map((step) => JSON.stringify(step)).sort();

/** The steps of a plan for units, and all other steps about their names. */
const ofUnits = (all: readonly Part[], isOne: (unit: string) => boolean): Record<string, string[]> =>
  Object.fromEntries(
    all
      .filter(({ what, unit }) => what !== 'stray' && isOne(unit))
      .map(({ what, unit, steps }) => [`${what} ${unit}`, text(steps)])
      .sort(),
  );

test('the plan for closed units is the plan of the whole seat as far as it concerns them', () => {
  fc.assert(
    fc.property(world, fc.uniqueArray(fc.integer({ min: 0, max: 5 }), { maxLength: 2 }), (some, named) => {
      const { seat, actual } = seatOf(some);
      const units = closure(named.map(unitName), seat);
      const view = restricted(units, seat, actual);
      const [part, whole] = [parts(view.desired, view.actual), parts(seat.wanted.seat, actual)];
      const isOne = (unit: string) => units.has(unit);
      assert.equal(
        ofUnits(part, () => true),
        ofUnits(whole, isOne),
      );
      const strays = (all: readonly Part[]) => all.flatMap(({ what, steps }) => (what === 'stray' ? steps : []));
      const all = text(strays(whole));
      for (const step of text(strays(part))) assert.ok(all.includes(step), step);
      // Nothing that is left to the others touches what these are called.
      const others = whole
        .filter(({ what, unit }) => what !== 'stray' && !units.has(unit))
        .flatMap(({ steps }) => steps);
      const names = new Set(
        [...view.actual.journal.values(), ...view.desired.devices.map(({ entry }) => entry)].map(({ id }) => id),
      );
      for (const step of others) {
        const id = idOf(step);
        assert.not.ok(id !== undefined && names.has(id), JSON.stringify(step));
      }
    }),
    { numRuns: 2000 },
  );
});

function idOf(step: Step): string | undefined {
  if (step.step === 'intend' || step.step === 'announce') return step.entry.id;
  return step.step === 'grant' || step.step === 'deny' ? `c${numberText(step.number)}` : undefined;
}

test('units that share nothing are not looked at, however many there are', () => {
  const wants = Array.from({ length: 200 }, (_, at): Thing => ({ unit: at, name: at, minor: at, links: [at] }));
  const { seat } = seatOf({ had: wants, wants, spoilt: [] });
  assert.equal([...closure([unitName(7)], seat)], [unitName(7)]);
});

test('whoever has a stable name frees it for the next in order, and for nobody else', () => {
  const rivals = [1, 2, 3].map((at): Thing => ({ unit: at, name: at, minor: at, links: [0] }));
  const { seat, actual } = seatOf({ had: rivals.slice(0, 1), wants: rivals.slice(1), spoilt: [] });
  const units = closure([unitName(1)], seat);
  assert.equal([...units].sort(), [unitName(1), unitName(2)]);
  const view = restricted(units, seat, actual);
  const linked = parts(view.desired, view.actual).flatMap(({ steps }) =>
    steps.flatMap((step) => (step.step === 'link' ? [step.link.node] : [])),
  );
  assert.equal(linked, ['event2']);
});

test('a number or a name that is used again brings in whoever had it', () => {
  const had: Thing[] = [{ unit: 1, name: 1, minor: 1, links: [] }];
  const sameNumber = seatOf({ had, wants: [{ unit: 2, name: 2, minor: 1, links: [] }], spoilt: [] });
  assert.equal([...closure([unitName(2)], sameNumber.seat)].sort(), [unitName(1), unitName(2)]);
  const sameName = seatOf({ had, wants: [{ unit: 2, name: 1, minor: 2, links: [] }], spoilt: [] });
  assert.equal([...closure([unitName(2)], sameName.seat)].sort(), [unitName(1), unitName(2)]);
});

test('entries are found by unit and by node, also after they changed', () => {
  const entries = new Entries();
  const { entry } = deviceOf({ unit: 1, name: 1, minor: 1, links: [] });
  entries.put(entry);
  const moved: JournalEntry = { ...entry, unit: unitName(2) };
  entries.put(moved);
  assert.equal([entries.has(unitName(1)), entries.ofUnit(unitName(2))], [false, [moved]]);
  assert.equal(entries.ofNode('input/event1'), [moved]);
  entries.delete(entry.id);
  assert.equal([entries.has(unitName(2)), entries.ofNode('input/event1')], [false, []]);
});

test.run();
