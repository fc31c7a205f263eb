import { liesAlone, numberText } from './device.js';
import type { Entries } from './entries.js';
import { type Links, targetOf } from './links.js';
import { type ActualSeat, type DesiredSeat, nodeKey } from './state.js';
import type { LinkSpec, NodeSpec } from './step.js';
import { unitOrder, type Wanted } from './wanted.js';

/** A seat, found by the names of its devices. */
export interface Indexed {
  readonly wanted: Wanted;
  readonly entries: Entries;
  readonly links: Links;
}

/**
 * These units, and every unit that shares a record, the name of a node or a stable name with one of them, in the state
 * or the wanted state of the seat. No action for them can concern any other unit.
 */
export function closure(units: Iterable<string>, seat: Indexed): Set<string> {
  const closed = new Set(units);
  // A walk through a set reaches elements that are added meanwhile.
  for (const unit of closed) for (const other of relatives(unit, seat)) closed.add(other);
  return closed;
}

function relatives(unit: string, { wanted, entries, links }: Indexed): string[] {
  const found: string[] = [];
  const named = (id: string): void => {
    const entry = entries.all.get(id);
    if (entry !== undefined) found.push(entry.unit);
    found.push(...wanted.withId(id));
  };
  const nodeOf = (node: string): void => {
    for (const { unit: other } of entries.ofNode(node)) found.push(other);
    found.push(...wanted.withNode(node));
  };
  const linked = (name: string): void => {
    const owner = wanted.ownerOf(name);
    if (owner !== undefined) found.push(owner);
    const there = links.all.get(name);
    if (there !== undefined) nodeOf(targetOf(there));
  };
  for (const { id, node } of held(unit, { wanted, entries })) {
    named(id);
    if (node === undefined) continue;
    nodeOf(nodeKey(node));
    for (const link of links.leadingTo(nodeKey(node))) linked(nodeKey(link));
  }
  for (const device of wanted.of(unit)) for (const link of device.links) linked(nodeKey(link));
  return found;
}

/** Record and node of every device of a unit, as it is and as it must be. */
const held = (
  unit: string,
  { wanted, entries }: Pick<Indexed, 'wanted' | 'entries'>,
): { readonly id: string; readonly node: NodeSpec | undefined }[] => [
  ...entries.ofUnit(unit),
  ...wanted.of(unit).map(({ entry }) => entry),
];

/**
 * Wanted state and state of a seat, for a set of units that `closure` has closed. The plan from these parts is the same
 * as the plan of the whole seat for these units. Its time does not grow with the seat.
 */
export function restricted<Actual extends Omit<ActualSeat, 'blocked'>>(
  units: ReadonlySet<string>,
  seat: Indexed,
  actual: Actual,
): { readonly desired: DesiredSeat; readonly actual: Actual } {
  const names = {
    ids: new Set<string>(),
    numbers: new Set<string>(),
    nodes: new Set<string>(),
    shown: new Set<string>(),
  };
  const links = new Map<string, LinkSpec>();
  const take = (name: string): void => {
    const there = seat.links.all.get(name);
    if (there !== undefined) links.set(name, there);
  };
  for (const unit of units) {
    for (const { id, node } of held(unit, seat)) {
      names.ids.add(id);
      if (node === undefined) continue;
      names.numbers.add(numberText(node.number));
      names.nodes.add(nodeKey(node));
      if (liesAlone(node.class)) names.shown.add(node.name);
      for (const link of seat.links.leadingTo(nodeKey(node))) take(nodeKey(link));
    }
    for (const device of seat.wanted.of(unit)) for (const link of device.links) take(nodeKey(link));
  }
  const { grants, nodes, records, shown } = actual;
  const order = [...units].sort(unitOrder);
  return {
    desired: { devices: order.flatMap((unit) => seat.wanted.of(unit)), unknown: [] },
    actual: {
      ...actual,
      grants: only(grants, names.numbers),
      nodes: only(nodes, names.nodes),
      links,
      records: only(records, names.ids),
      shown: shown && new Set([...names.shown].filter((name) => shown.has(name))),
      journal: new Map(order.flatMap((unit) => seat.entries.ofUnit(unit).map((entry) => [entry.id, entry]))),
    },
  };
}

/** The part of a map under these keys. */
const only = <V>(map: ReadonlyMap<string, V>, keys: Iterable<string>): Map<string, V> =>
  new Map(
    [...keys].flatMap((key): [string, V][] => {
      const value = map.get(key);
      return value === undefined ? [] : [[key, value]];
    }),
  );
