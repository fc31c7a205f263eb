import { type DeviceNumber, numberText, parseNumber } from './device.js';
import { type ActualSeat, type DesiredDevice, type DesiredSeat, nodeKey } from './state.js';
import type { JournalEntry, NodeSpec, Step } from './step.js';

/**
 * The difference between what a seat shall have and what it has, in the order of promise 2:
 * everything that leaves goes first (deny, node, record, announcement, revocation), unit by unit;
 * then what comes (grant, node, record, announcement). Pure: no I/O, no clock.
 */
export function plan(desired: DesiredSeat, actual: ActualSeat): Step[] {
  const wanted = new Map(desired.devices.map((device) => [device.entry.id, device]));
  return [...departures(wanted, actual), ...strays(wanted, actual), ...arrivals(desired, actual)];
}

function departures(wanted: ReadonlyMap<string, DesiredDevice>, actual: ActualSeat): Step[] {
  const leaving = new Map<string, JournalEntry[]>();
  for (const entry of actual.journal.values()) {
    if (wanted.get(entry.id)?.entry.syspath === entry.syspath) continue;
    const unit = leaving.get(entry.unit);
    if (unit === undefined) leaving.set(entry.unit, [entry]);
    else unit.push(entry);
  }
  return [...leaving].flatMap(([unit, entries]) => departure(unit, entries, actual));
}

function departure(unit: string, entries: readonly JournalEntry[], actual: ActualSeat): Step[] {
  // Children go before their head, as udevd announces it on a real removal.
  const order = [...entries].reverse();
  const nodes = order.flatMap((entry) => (entry.node === undefined ? [] : [entry.node]));
  const steps: Step[] = [];
  for (const { number } of nodes) {
    if (actual.grants.has(numberText(number))) steps.push({ step: 'deny', number });
  }
  for (const node of nodes) {
    if (sameNumber(actual.nodes.get(nodeKey(node))?.number, node.number)) {
      steps.push({ step: 'unlink', class: node.class, name: node.name });
    }
  }
  for (const entry of order) {
    if (actual.records.has(entry.id)) steps.push({ step: 'unrecord', id: entry.id, tags: entry.tags });
  }
  for (const entry of order) {
    if (actual.audience !== undefined && entry.knownTo === actual.audience) {
      steps.push({ step: 'announce', action: 'remove', entry });
    }
  }
  const plugged = order.filter((entry) => entry.node !== undefined && actual.present(entry.syspath));
  if (plugged.length > 0) {
    const open = plugged.flatMap((entry) => (entry.node === undefined ? [] : [entry.node]));
    steps.push({ step: 'revoke', unit, nodes: open, hard: plugged.some((entry) => entry.hard) });
  }
  return [...steps, ...order.map((entry): Step => ({ step: 'forget', id: entry.id }))];
}

/** Things in the seat that no journal entry and no wish accounts for: a lost journal, or a hostile container's doing. */
function strays(wanted: ReadonlyMap<string, DesiredDevice>, actual: ActualSeat): Step[] {
  const numbers = new Set<string>();
  const keys = new Set<string>();
  const known = [...actual.journal.values(), ...[...wanted.values()].map((device) => device.entry)];
  for (const { node } of known) {
    if (node === undefined) continue;
    numbers.add(numberText(node.number));
    keys.add(nodeKey(node));
  }
  const steps: Step[] = [];
  for (const grant of actual.grants) {
    const number = parseNumber(grant);
    if (number !== undefined && !numbers.has(grant)) steps.push({ step: 'deny', number });
  }
  for (const [key, node] of actual.nodes) {
    if (!keys.has(key)) steps.push({ step: 'unlink', class: node.class, name: node.name });
  }
  for (const id of actual.records.keys()) {
    if (!wanted.has(id) && !actual.journal.has(id)) steps.push({ step: 'unrecord', id, tags: [] });
  }
  return steps;
}

function arrivals(desired: DesiredSeat, actual: ActualSeat): Step[] {
  const units = new Map<string, DesiredDevice[]>();
  for (const device of desired.devices) {
    const unit = units.get(device.entry.unit);
    if (unit === undefined) units.set(device.entry.unit, [device]);
    else unit.push(device);
  }
  return [...units.values()].flatMap((unit) => arrival(unit, actual));
}

function arrival(unit: readonly DesiredDevice[], actual: ActualSeat): Step[] {
  const intents: Step[] = [];
  const grants: Step[] = [];
  const nodes: Step[] = [];
  const records: Step[] = [];
  const announcements: Step[] = [];
  for (const { record, entry } of unit) {
    const past = actual.journal.get(entry.id);
    const before = past?.syspath === entry.syspath ? past : undefined;
    const current: JournalEntry = { ...entry, knownTo: before?.knownTo };
    if (before === undefined || !sameEntry(before, current)) intents.push({ step: 'intend', entry: current });
    if (entry.node !== undefined) {
      const { number } = entry.node;
      // A grant under this number that belonged to the former holder of the minor is gone by now: departures came first.
      if (actual.container !== undefined && (before === undefined || !actual.grants.has(numberText(number)))) {
        grants.push({ step: 'grant', number, syspath: entry.syspath });
      }
      if (before === undefined || !sameNode(actual.nodes.get(nodeKey(entry.node)), entry.node)) {
        nodes.push({ step: 'node', node: entry.node });
      }
    }
    if (before === undefined || actual.records.get(entry.id) !== record.text) records.push({ step: 'record', record });
    if (actual.audience !== undefined && current.knownTo !== actual.audience) {
      announcements.push({ step: 'announce', action: announcedAs(entry), entry: current });
    }
  }
  return [...intents, ...grants, ...nodes, ...records, ...announcements];
}

/** PulseAudio ignores `add` and loads a card on `change` (module-udev-detect.c); PipeWire takes both alike. */
const announcedAs = (entry: JournalEntry): 'add' | 'change' =>
  entry.node === undefined && entry.properties['SOUND_INITIALIZED'] === '1' ? 'change' : 'add';

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
    (a.node === undefined ? b.node === undefined : b.node !== undefined && sameNode(a.node, b.node)) &&
    keys.length === Object.keys(b.properties).length &&
    keys.every((key) => a.properties[key] === b.properties[key])
  );
}
