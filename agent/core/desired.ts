import { type Accounts, accessOf, type Unknown } from './access.js';
import { type Device, isRenderNode, nodeClass, numberId, type SeatSubsystem, type Unit } from './device.js';
import { lineOf, type Rule } from './policy.js';
import type { DesiredDevice, DesiredSeat } from './state.js';
import type { LinkSpec, NodeRef, NodeSpec, Properties, RecordSpec } from './step.js';
import type { Claim } from './verdict.js';
import { Wanted } from './wanted.js';

/** How a device is shown inside a container: its database entry and the properties of its announcement. */
export interface Presentation {
  readonly record: RecordSpec;
  readonly properties: Properties;
}

/** A unit and the claim through which one seat gets it. */
export interface Grantee {
  readonly unit: Unit;
  readonly claim: Claim;
}

/**
 * How a seat must have one unit: every node of it and its head, owned as its container has accounts. `present` renders one
 * device for the container; it belongs to the udev room, because it knows the formats.
 */
export function desiredUnit(
  { unit, claim }: Grantee,
  accounts: Accounts,
  present: (device: Device) => Presentation,
): DesiredSeat {
  const unknown: Unknown[] = [];
  return { devices: unitDevices(unit, claim, accounts, present, unknown), unknown };
}

/** The same for a seat as a whole. */
export function desiredSeat(
  grantees: readonly Grantee[],
  accounts: Accounts,
  present: (device: Device) => Presentation,
): DesiredSeat {
  const wanted = new Wanted();
  const unknown = grantees.flatMap((grantee) => {
    const desired = desiredUnit(grantee, accounts, present);
    wanted.set(grantee.unit.id, desired.devices);
    return desired.unknown;
  });
  return { ...wanted.seat, unknown };
}

function unitDevices(
  unit: Unit,
  { rule, outputs }: Claim,
  accounts: Accounts,
  present: (device: Device) => Presentation,
  unknown: Unknown[],
): DesiredDevice[] {
  // A seat with outputs is told of the card and gets no node of it that shows anything: the descriptor comes from the holder.
  const isSplit = outputs !== undefined;
  const isRendering = isSplit && [rule, ...outputs.map((output) => output.rule)].some(({ render }) => render === true);
  const heads = unit.nodes.some((node) => node.syspath === unit.head.syspath) ? [] : [unit.head];
  // A sound card's head is announced last: PulseAudio and PipeWire open all nodes the moment they hear of it.
  const order = unit.subsystem === 'sound' ? [...unit.nodes, ...heads] : [...heads, ...unit.nodes];
  if (unit.subsystem === 'plain') return order.flatMap((device) => plainDevice(unit, device, rule, accounts, unknown));
  return order.flatMap((device): DesiredDevice[] => {
    const isHead = isSplit && device.syspath === unit.head.syspath;
    if (isSplit && !isHead && !(isRendering && isRenderNode(device.sysname))) return [];
    const node = isNode(unit, rule) && !isHead ? nodeSpec(unit, device, rule, accounts, unknown) : undefined;
    const served = servedRef(unit, device, rule);
    // Nothing of a joystick but its event node can be taken back, so that the others come as nodes or not at all.
    if (device.number !== undefined && node === undefined && served === undefined && !isHead) return [];
    const { record, properties } = present(device);
    const entry = {
      id: record.id,
      syspath: device.syspath,
      incarnation: device.incarnation,
      unit: unit.id,
      node,
      ...(served === undefined ? {} : { served }),
      tags: record.tags,
      properties,
      rule: lineOf(rule.place),
      hard: rule.revoke === 'hard' && !isSplit,
      knownTo: undefined,
    };
    return [{ record, links: node === undefined ? [] : linksOf(unit.subsystem, device), entry }];
  });
}

/** A node alone: Hotseat does not follow it in udev, so there is neither a record nor an announcement. */
function plainDevice(unit: Unit, device: Device, rule: Rule, accounts: Accounts, unknown: Unknown[]): DesiredDevice[] {
  const node = nodeSpec(unit, device, rule, accounts, unknown);
  if (node === undefined) return [];
  const entry = {
    ...{ id: numberId(node.number), syspath: device.syspath, incarnation: device.incarnation, unit: unit.id },
    ...{ node, tags: [], properties: {}, rule: lineOf(rule.place), hard: false, knownTo: undefined, silent: true },
  };
  return [{ record: undefined, links: [], entry }];
}

/** Whether a seat gets nodes of a unit by a rule: `descriptor` is only for nodes that can be taken back. */
const isNode = ({ subsystem }: Unit, { receive }: Rule): boolean =>
  receive !== 'descriptor' || (subsystem !== 'input' && subsystem !== 'hidraw');

/** Nodes that the holder opens: event nodes and raw nodes, which have an ioctl that takes them back. */
function servedRef({ subsystem }: Unit, { number, sysname }: Device, { receive = 'node' }: Rule): NodeRef | undefined {
  const isServable = subsystem === 'hidraw' || (subsystem === 'input' && sysname.startsWith('event'));
  if (receive === 'node' || number === undefined || !isServable) return undefined;
  return { class: nodeClass(subsystem), name: sysname, number };
}

/**
 * The names that udev's own rules make from the kind and place of a device (60-persistent-input.rules and others).
 * Beyond ASCII udev lets all UTF-8 through (systemd, udev_replace_chars); invisible characters stay out.
 */
const stable =
  /^(by-id|by-path)\/(?!\.{1,2}$)(?:[A-Za-z0-9#+.:=@_-]|[^\p{ASCII}\p{C}\p{Zl}\p{Zp}\p{NChar}\ufffd]){1,200}$/u;
/** The longest name of a file, bytes (NAME_MAX). */
const longestName = 255;

/** Links of a device that its seat gets too: those below its class directory, by a name that can be no way out of it. */
function linksOf(subsystem: SeatSubsystem, { number, sysname, links }: Device): LinkSpec[] {
  if (number === undefined || subsystem === 'hidraw') return [];
  return links.flatMap((link) => {
    const name = nameBelow(subsystem, link);
    return isStable(name) ? [{ class: nodeClass(subsystem), name, node: sysname }] : [];
  });
}

const nameBelow = (subsystem: SeatSubsystem, link: string): string => {
  const below = `/dev/${nodeClass(subsystem)}/`;
  return link.startsWith(below) ? link.slice(below.length) : '';
};

const isStable = (name: string): boolean => stable.test(name) && Buffer.byteLength(name) <= longestName;

/** Stable names that udev makes for a device, and that its seat does not get. */
export const lostLinks = ({ subsystem, nodes }: Unit): string[] =>
  nodes.flatMap(({ links }) =>
    links.filter((link) => /^by-(id|path)\//.test(nameBelow(subsystem, link)) && !isStable(nameBelow(subsystem, link))),
  );

function nodeSpec(
  { subsystem }: Unit,
  { number, sysname }: Device,
  rule: Rule,
  accounts: Accounts,
  unknown: Unknown[],
): NodeSpec | undefined {
  if (number === undefined) return undefined;
  const ownership = accessOf(rule, subsystem, sysname, accounts, (name) => unknown.push(name));
  return { class: nodeClass(subsystem), name: sysname, number, ...ownership };
}
