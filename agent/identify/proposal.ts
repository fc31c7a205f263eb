import type { Unit } from '../core/device.js';
import { isKind, property } from '../core/match.js';
import { nameOf } from '../core/name.js';
import { areApart, physicalOf } from '../core/physical.js';
import { kinds } from '../core/policy.js';
import { pathWithBus, portCovers } from '../core/port.js';

/** By its port, which holds for every device there; or by its serial number, which holds in every port. */
export type By = 'port' | 'serial';

/** A rule that would give a device to a seat, in the words of a seat file. */
export interface Proposal {
  /** How it knows the device. */
  readonly by: By;
  /** The label of the rule. */
  readonly label: string;
  /** Its conditions, as in a seat file. */
  readonly match: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  /** Other things that are plugged now and that it would give to the seat as well, in words. */
  readonly also: readonly string[];
}

/** Texts that a seat file can hold (policy/schema.ts). A device with another name cannot be named by it. */
const writable = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/;
const unwritable = /["|\\]/;

/**
 * Rules that would match this device: by its port and by its serial number or address, as far as it has them. `units`:
 * all plugged devices. A description that another device shares is not proposed.
 */
export function proposalsOf(unit: Unit, units: readonly Unit[] = []): Proposal[] {
  const what = kinds.find((kind) => isKind(kind, unit.head, unit.nodes)) ?? unit.subsystem;
  const others = othersOf(unit, units);
  // At a receiver for several people each has an interface of it.
  const isApart = others.some((other) => areApart(unit, other));
  // Two sockets can have one ID_PATH, and be told apart by the bus.
  const ports = ['ID_PATH', pathWithBus].flatMap((key) => portOf(property(unit.head, key), isApart) ?? []);
  const [best] = ports
    .map((port) => ({ port, also: others.filter(({ head }) => isAt(port, head)) }))
    .sort((a, b) => a.also.length - b.also.length);
  const proposals: Proposal[] = [];
  if (best !== undefined) {
    const { port, also } = best;
    proposals.push({ by: 'port', label: `any device at ${port}`, match: { port }, also: also.map(textOf) });
  }
  const own = namesOf(unit).find(({ attributes }) => !others.some((other) => says(other, attributes)));
  if (own !== undefined) {
    const attr = Object.fromEntries(Object.entries(own.attributes).map(([key, text]) => [key, literal(text)]));
    const match = own.isOfInput ? { subsystem: 'input', attr } : { attr };
    proposals.push({ by: 'serial', label: `the ${what} ${own.name}`, match, also: [] });
  }
  return proposals;
}

/**
 * In words, other devices with the same description as this one: the reason to propose nothing by its serial number.
 */
export function alike(unit: Unit, units: readonly Unit[]): string[] {
  const others = othersOf(unit, units);
  const names = namesOf(unit);
  return others.filter((other) => names.some(({ attributes }) => says(other, attributes))).map(textOf);
}

/** Devices that people do not see as the same thing as this device. */
const othersOf = (unit: Unit, units: readonly Unit[]): Unit[] =>
  units.filter((other) => physicalOf(other.id) !== physicalOf(unit.id) || areApart(unit, other));

const isAt = (port: string, head: Unit['head']): boolean =>
  portCovers(port, property(head, 'ID_PATH'), property(head, pathWithBus));

const textOf = (unit: Unit): string => `${unit.nodes[0]?.node ?? unit.id} ${nameOf(unit)}`;

/** The port, mostly without the interface of a USB device: `pci-0000:00:14.0-usb-0:2.1:1.0` is at `…-usb-0:2.1`. */
function portOf(path: string, withInterface: boolean): string | undefined {
  const port = withInterface ? path : path.replace(/(-usb(?:v\d+)?-\d+:[\d.]+):\d+\.\d+$/, '$1');
  return /^[a-z]+-[A-Za-z0-9:._-]+$/.test(port) ? port : undefined;
}

/** Something that a device says of itself and that others of its model do not say, as a rule. */
interface OwnName {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly isOfInput: boolean;
}

/** From the most particular on: a device that is paired with a receiver is below it, and has a name of its own. */
function namesOf({ head }: Unit): OwnName[] {
  const usb = head.ancestors.find(({ attributes }) => attributes['idVendor'] !== undefined)?.attributes;
  const { idVendor, idProduct, serial } = usb ?? {};
  const uniq = head.attributes['uniq'];
  const names: OwnName[] = [];
  if (idVendor !== undefined && idProduct !== undefined && fits(serial)) {
    names.push({ name: serial, attributes: { idVendor, idProduct, serial }, isOfInput: false });
  }
  if (fits(uniq)) names.push({ name: uniq, attributes: { uniq }, isOfInput: true });
  // A device that a program makes is at no port, and mostly has only a name.
  const name = head.attributes['name'];
  if (property(head, 'ID_PATH') === '' && fits(name)) names.push({ name, attributes: { name }, isOfInput: true });
  return names;
}

/** Whether one and the same device above a unit, or it itself, says all of this. */
const says = ({ head }: Unit, wanted: Readonly<Record<string, string>>): boolean =>
  [head.attributes, ...head.ancestors.map(({ attributes }) => attributes)].some((attributes) =>
    Object.entries(wanted).every(([key, text]) => attributes[key] === text),
  );

const fits = (text: string | undefined): text is string =>
  text !== undefined && text.length <= 60 && writable.test(text) && !unwritable.test(text);

/** A pattern that matches this text and no other. */
const literal = (text: string): string => text.replace(/[*?[]/g, (char) => `[${char}]`);
