import { type DeviceNumber, type Incarnation, isSame, liesAlone, numberText, parseNumber } from './device.js';
import { grouped } from './grouped.js';
import { type ActualSeat, type DesiredDevice, type DesiredSeat, nodeKey } from './state.js';
import type { JournalEntry, LinkSpec, NodeSpec, Step } from './step.js';

/** Steps of a plan that belong together: all steps of one unit's leaving or coming, or of leftovers without a unit. */
export interface Part {
  readonly what: 'leave' | 'stray' | 'come';
  /** Syspath of the unit; empty for strays. */
  readonly unit: string;
  readonly steps: readonly Step[];
}

/**
 * The difference between the wanted state and the state of a seat, in the order of promise 2: departures first (deny,
 * node, record, announcement, revocation), unit by unit; then arrivals (grant, node, record, announcement). Pure: no
 * I/O, no clock.
 */
export function parts(desired: DesiredSeat, actual: ActualSeat): Part[] {
  const wanted = byId(desired);
  const stray: Part = { what: 'stray', unit: '', steps: strays(wanted, actual) };
  return [...departures(wanted, actual), stray, ...arrivals(desired, actual)].filter(({ steps }) => steps.length > 0);
}

const byId = ({ devices }: DesiredSeat): Map<string, DesiredDevice> =>
  new Map(devices.map((device) => [device.entry.id, device]));

/** All its steps, one after the other. */
export const plan = (desired: DesiredSeat, actual: ActualSeat): Step[] =>
  parts(desired, actual).flatMap(({ steps }) => steps);

function departures(wanted: ReadonlyMap<string, DesiredDevice>, actual: ActualSeat): Part[] {
  const leaving = [...actual.journal.values()].filter((entry) => !isWanted(wanted, entry));
  return [...grouped(leaving, ({ unit }) => unit)]
    .filter(([unit]) => !actual.blocked.has(unit))
    .map(([unit, entries]) => ({ what: 'leave', unit, steps: departure(unit, entries, actual) }));
}

/** Graphics cards that must leave a seat while they are still plugged: they do only when nobody holds them (promise 1). */
export function leavingCards(
  desired: DesiredSeat,
  journal: ReadonlyMap<string, JournalEntry>,
  present: (device: Incarnation) => boolean,
): Map<string, NodeSpec[]> {
  const wanted = byId(desired);
  const leaving = new Map<string, NodeSpec[]>();
  for (const entry of journal.values()) {
    const { unit, node } = entry;
    if (node?.class !== 'dri' || isWanted(wanted, entry) || !present(entry)) continue;
    leaving.set(unit, [...(leaving.get(unit) ?? []), node]);
  }
  return leaving;
}

function departure(unit: string, entries: readonly JournalEntry[], actual: ActualSeat): Step[] {
  const order = [...entries].reverse().sort((a, b) => departureRank(a) - departureRank(b));
  const nodes = order.flatMap((entry) => (entry.node === undefined ? [] : [entry.node]));
  const steps: Step[] = [];
  const served = order.filter(isServed);
  if (served.length > 0) {
    const open = served.flatMap((entry) => (entry.served !== undefined && actual.present(entry) ? [entry.served] : []));
    steps.push({ step: 'withdraw', unit, ids: served.map(({ id }) => id), nodes: open });
  }
  for (const { number } of nodes) {
    if (actual.grants.has(numberText(number))) steps.push({ step: 'deny', number });
  }
  for (const { node, placeholder } of order) {
    if (node !== undefined && liesAlone(node.class) && actual.shown?.has(node.name) === true) {
      steps.push({ step: 'hide', name: node.name, placeholder });
    }
  }
  for (const node of nodes) {
    if (sameNumber(actual.nodes.get(nodeKey(node))?.number, node.number)) {
      steps.push({ step: 'unlink', class: node.class, name: node.name });
    }
  }
  for (const link of actual.links.values()) {
    if (nodes.some((node) => leadsTo(link, node))) steps.push({ step: 'unlink', class: link.class, name: link.name });
  }
  for (const entry of order) {
    if (actual.records.has(entry.id)) steps.push({ step: 'unrecord', id: entry.id, tags: entry.tags });
  }
  for (const entry of order) {
    if (actual.audience !== undefined && isTold(entry) && [entry.knownTo, entry.toldTo].includes(actual.audience)) {
      steps.push({ step: 'announce', action: 'remove', entry });
    }
  }
  const plugged = order.filter((entry) => entry.node !== undefined && isTold(entry) && actual.present(entry));
  if (plugged.length > 0) {
    const open = plugged.flatMap((entry) => (entry.node === undefined ? [] : [entry.node]));
    steps.push({ step: 'revoke', unit, nodes: open, hard: plugged.some(isHard) });
  }
  return [...steps, ...order.map((entry): Step => ({ step: 'forget', id: entry.id }))];
}

/** Whether its driver has to be bound again in any case; a graphics card leaves only when nobody holds it. */
const isHard = ({ hard, loose, node }: JournalEntry): boolean => hard || (loose === true && node?.class !== 'dri');

/**
 * Children go before their head, as udevd announces it on a real removal. Sound is different: a sound server must let a
 * card go before its nodes do. It looks at the control node to see whether it still may use the others.
 */
function departureRank({ id, node }: JournalEntry): number {
  if (node === undefined) return id.startsWith('+sound:') ? 0 : 3;
  return node.name.startsWith('controlC') ? 1 : 2;
}

/** Things in the seat that no journal entry and no wish accounts for: a lost journal, or a hostile container's doing. */
function strays(wanted: ReadonlyMap<string, DesiredDevice>, actual: ActualSeat): Step[] {
  const numbers = new Set<string>();
  const keys = new Set<string>();
  const alone = new Set<string>();
  const known = [...actual.journal.values(), ...[...wanted.values()].map((device) => device.entry)];
  for (const { node } of known) {
    if (node === undefined) continue;
    numbers.add(numberText(node.number));
    keys.add(nodeKey(node));
    if (liesAlone(node.class)) alone.add(node.name);
  }
  const leaving = (link: LinkSpec): boolean =>
    [...actual.journal.values()].some(
      (entry) => entry.node !== undefined && leadsTo(link, entry.node) && !isWanted(wanted, entry),
    );
  const steps: Step[] = [];
  for (const grant of actual.grants.keys()) {
    const number = parseNumber(grant);
    if (number !== undefined && !numbers.has(grant)) steps.push({ step: 'deny', number });
  }
  for (const name of actual.shown ?? [])
    if (!alone.has(name)) steps.push({ step: 'hide', name, placeholder: undefined });
  for (const [key, node] of actual.nodes) {
    if (!keys.has(key)) steps.push({ step: 'unlink', class: node.class, name: node.name });
  }
  const links = new Set([...wanted.values()].flatMap((device) => device.links.map(nodeKey)));
  for (const [key, link] of actual.links) {
    // A link to a node on its way out goes with it.
    if (!links.has(key) && !leaving(link)) steps.push({ step: 'unlink', class: link.class, name: link.name });
  }
  for (const id of actual.records.keys()) {
    if (!wanted.has(id) && !actual.journal.has(id)) steps.push({ step: 'unrecord', id, tags: [] });
  }
  return steps;
}

function arrivals(desired: DesiredSeat, actual: ActualSeat): Part[] {
  return [...grouped(desired.devices, ({ entry }) => entry.unit)]
    .filter(([unit]) => !actual.blocked.has(unit))
    .map(([unit, devices]) => ({ what: 'come', unit, steps: arrival(devices, actual) }));
}

function arrival(unit: readonly DesiredDevice[], actual: ActualSeat): Step[] {
  const intents: Step[] = [];
  const grants: Step[] = [];
  const nodes: Step[] = [];
  const linkings: Step[] = [];
  const records: Step[] = [];
  const announcements: Step[] = [];
  for (const { record, entry, links } of unit) {
    const past = actual.journal.get(entry.id);
    const isAsBefore = past !== undefined && isSame(past, entry) && hasNode(past) === hasNode(entry);
    const before = isAsBefore && isServed(past) === isServed(entry) ? past : undefined;
    const isUntold = actual.audience !== undefined && isTold(entry) && before?.knownTo !== actual.audience;
    const toldTo = isUntold ? actual.audience : before?.toldTo;
    const incarnation = entry.incarnation ?? before?.incarnation;
    const { knownTo, placeholder, loose, holder, unsure } = before ?? {};
    const current: JournalEntry = { ...entry, incarnation, knownTo, toldTo, placeholder, loose, holder, unsure };
    if (before === undefined || before.toldTo !== toldTo || !sameEntry(before, current)) {
      intents.push({ step: 'intend', entry: current });
    }
    if (entry.served !== undefined && holder === undefined) {
      grants.push({ step: 'serve', entry: current, served: entry.served });
    }
    if (entry.node !== undefined) {
      const { number } = entry.node;
      // A grant under this number that belonged to the former holder of the minor is gone by now: departures came first.
      if (actual.container !== undefined && (before === undefined || actual.grants.get(numberText(number)) !== true)) {
        grants.push({ step: 'grant', number, syspath: entry.syspath, incarnation });
      }
      const isNew = before === undefined || !sameNode(actual.nodes.get(nodeKey(entry.node)), entry.node);
      if (isNew) nodes.push({ step: 'node', node: entry.node });
      // The mount is of one inode: another node under the same name is not the same.
      if (liesAlone(entry.node.class) && actual.shown !== undefined && (isNew || !actual.shown.has(entry.node.name))) {
        nodes.push({ step: 'show', id: entry.id, node: entry.node });
      }
    }
    for (const link of links) {
      const there = actual.links.get(nodeKey(link));
      if (before === undefined || there?.node !== link.node) linkings.push({ step: 'link', link });
    }
    if (record !== undefined && (before === undefined || actual.records.get(entry.id) !== record.text))
      records.push({ step: 'record', record });
    if (isUntold) {
      announcements.push({ step: 'announce', action: announcedAs(entry), entry: current });
    }
  }
  return [...intents, ...grants, ...nodes, ...linkings, ...records, ...announcements];
}

const isWanted = (wanted: ReadonlyMap<string, DesiredDevice>, entry: JournalEntry): boolean => {
  const device = wanted.get(entry.id);
  if (device === undefined || !isSame(device.entry, entry) || isServed(device.entry) !== isServed(entry)) return false;
  return hasNode(device.entry) === hasNode(entry) || (hasNode(device.entry) && !isServed(entry));
};

/** A card without one is known of to a seat that has outputs of it. */
const hasNode = ({ node }: JournalEntry): boolean => node !== undefined;

/** Whether containers are told of it, as udev tells of it here. */
const isTold = ({ silent }: JournalEntry): boolean => silent !== true;

/** Whether the holder opens it for the display server. A device that comes in another way from now on leaves first. */
const isServed = ({ served }: JournalEntry): boolean => served !== undefined;

/** PulseAudio ignores `add` and loads a card on `change` (module-udev-detect.c); PipeWire takes both alike. */
const announcedAs = (entry: JournalEntry): 'add' | 'change' =>
  entry.node === undefined && entry.properties['SOUND_INITIALIZED'] === '1' ? 'change' : 'add';

const leadsTo = (link: LinkSpec, node: NodeSpec): boolean => link.class === node.class && link.node === node.name;

const sameNumber = (a: DeviceNumber | undefined, b: DeviceNumber): boolean =>
  a !== undefined && a.major === b.major && a.minor === b.minor;

const sameNode = (a: NodeSpec | undefined, b: NodeSpec): boolean =>
  a !== undefined && sameNumber(a.number, b.number) && a.uid === b.uid && a.gid === b.gid && a.mode === b.mode;

function sameEntry(a: JournalEntry, b: JournalEntry): boolean {
  const keys = Object.keys(a.properties);
  return (
    a.rule === b.rule &&
    a.hard === b.hard &&
    a.unit === b.unit &&
    a.incarnation === b.incarnation &&
    (a.node === undefined ? b.node === undefined : b.node !== undefined && sameNode(a.node, b.node)) &&
    keys.length === Object.keys(b.properties).length &&
    keys.every((key) => a.properties[key] === b.properties[key])
  );
}
