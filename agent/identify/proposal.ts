import type { Unit } from '../core/device.js';
import { isKind, property } from '../core/match.js';
import { kinds } from '../core/policy.js';

/** By its place, which is for whatever is plugged there; or by what it is, wherever it is plugged. */
export type By = 'port' | 'serial';

/** A rule that would give a device to a seat, in the words of a seat file. */
export interface Proposal {
  readonly by: By;
  readonly label: string;
  readonly match: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
}

/** What a seat file can hold (policy/schema.ts): a device that calls itself otherwise cannot be named by that. */
const writable = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/;
const unwritable = /["|\\]/;

/** Rules that would match this device: by its port and by its serial number or address, as far as it has them. */
export function proposalsOf(unit: Unit): Proposal[] {
  const what = kinds.find((kind) => isKind(kind, unit.head)) ?? unit.subsystem;
  const port = portOf(property(unit.head, 'ID_PATH'));
  const proposals: Proposal[] = [];
  if (port !== undefined) proposals.push({ by: 'port', label: `whatever is plugged in at ${port}`, match: { port } });
  const serial = serialMatch(unit);
  if (serial !== undefined) proposals.push({ by: 'serial', label: `the ${what} ${serial.name}`, match: serial.match });
  return proposals;
}

/** The port without the interface of a USB device: `pci-0000:00:14.0-usb-0:2.1:1.0` is at `…-usb-0:2.1`. */
function portOf(path: string): string | undefined {
  const port = path.replace(/(-usb-\d+:[\d.]+):\d+\.\d+$/, '$1');
  return /^[a-z]+-[A-Za-z0-9:._-]+$/.test(port) ? port : undefined;
}

/** The most particular thing that it says of itself and that others of its model do not. */
function serialMatch({ head }: Unit): { name: string; match: Proposal['match'] } | undefined {
  const usb = head.ancestors.find(({ attributes }) => attributes['idVendor'] !== undefined)?.attributes;
  const { idVendor, idProduct, serial } = usb ?? {};
  if (idVendor !== undefined && idProduct !== undefined && fits(serial)) {
    return { name: serial, match: { attr: { idVendor, idProduct, serial: literal(serial) } } };
  }
  const uniq = head.attributes['uniq'];
  return fits(uniq) ? { name: uniq, match: { subsystem: 'input', attr: { uniq: literal(uniq) } } } : undefined;
}

const fits = (text: string | undefined): text is string =>
  text !== undefined && text.length <= 60 && writable.test(text) && !unwritable.test(text);

/** A pattern that matches this text and no other. */
const literal = (text: string): string => text.replace(/[*?[]/g, (char) => `[${char}]`);
