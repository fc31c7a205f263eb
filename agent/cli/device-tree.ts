import type { DeviceInfo, Left, OutputInfo } from '../control/messages.js';
import { portCovers } from '../core/port.js';
import { receiptText } from '../core/receipts.js';
import type { UsbThing } from '../usb/topology.js';
import { bad, good, type Line } from './line.js';

/** A place with its devices: something on USB, or a port of another kind. */
interface Place {
  readonly port: string;
  readonly thing: UsbThing | undefined;
  readonly infos: readonly DeviceInfo[];
}

/** All devices by hub and port, each below its hub or port. Ports are written as rules take them. */
export function deviceTree(infos: readonly DeviceInfo[], things: readonly UsbThing[]): Line[] {
  // A thing's own port is longer than any that covers it.
  const above = (port: string): UsbThing[] => things.filter((thing) => portCovers(thing.port, port));
  const nearest = (port: string): UsbThing | undefined =>
    above(port).reduce<UsbThing | undefined>(
      (best, thing) => (best === undefined || thing.port.length > best.port.length ? thing : best),
      undefined,
    );
  const own = new Map(infos.map((info) => [info, nearest(info.port)]));
  const loose = infos.filter((info) => own.get(info) === undefined);
  const places: Place[] = [
    ...things.map((thing) => ({ port: thing.port, thing, infos: infos.filter((info) => own.get(info) === thing) })),
    ...[...new Set(loose.map(({ port }) => port))].map((port) => ({
      port,
      thing: undefined,
      infos: loose.filter((info) => info.port === port),
    })),
  ];
  return places.sort(byPort).flatMap(({ port, thing, infos: here }) => {
    const ports = new Set(above(port).map((other) => other.port));
    if (thing !== undefined) ports.delete(port);
    const indent = '  '.repeat(ports.size);
    const heading = thing === undefined ? port || 'no port' : headingOf(thing, here.length > 0);
    return [
      `${indent}${heading}`,
      ...here.flatMap((info): Line[] => [
        [`${indent}  `, ...describe(info)],
        ...(info.outputs ?? []).map((output): Line => [`${indent}    `, ...outputText(output)]),
        ...(info.reason === undefined ? [] : [`${indent}    ${info.reason}`]),
      ]),
    ];
  });
}

/** Port 2 before port 10. */
const byPort = (a: Place, b: Place): number => a.port.localeCompare(b.port, 'en', { numeric: true });

/** Functions that are inputs, sound cards or raw HID devices to the kernel (usb/topology.ts). */
const givable: ReadonlySet<string> = new Set(['audio', 'input']);

function headingOf({ port, name, ids, sockets, functions }: UsbThing, hasDevices: boolean): string {
  const what =
    sockets === undefined
      ? hasDevices
        ? []
        : [...functions.filter((one) => givable.has(one))]
      : [`hub with ${sockets} ports`];
  const never = functions.filter((one) => !givable.has(one));
  if (never.length > 0) what.push(`no seat can have its ${never.join(' and ')}`);
  // Only its maker's own driver knows what it is for.
  if (sockets === undefined && !hasDevices && functions.length === 0) what.push('nothing that a seat can have');
  return [`${port}  ${name} (${ids})`, ...what].join(', ');
}

/** The parts that stay with the host of a device of which a seat has another part. */
export const leftText = ({ device, name, reason }: Left): string => `${device}  ${name} stays with the host: ${reason}`;

/** One output of a card: which monitor is at it, and whose it is where not all of the card is one seat's. */
export function outputText({ connector, status, monitor, owner, rules = [] }: OutputInfo): Exclude<Line, string> {
  const seen = `${connector}  ${monitorText(status, monitor)}`;
  if (owner === undefined) return [seen];
  const by = rules.length === 0 ? '' : ` (${rules.join(', ')})`;
  return [`${seen}: `, owner === 'conflict' ? bad(owner) : owner === 'nobody' ? owner : good(owner), by];
}

function monitorText(status: OutputInfo['status'], monitor: string | undefined): string {
  switch (status) {
    case 'connected':
      return monitor ?? 'a monitor without a name';
    case 'disconnected':
      return 'no monitor';
    case 'unknown':
      return monitor ?? 'perhaps a monitor';
  }
}

/** One device, with its kind and its owner. */
export function describe({ name, nodes, kinds, owner, rules, device, receive }: DeviceInfo): Exclude<Line, string> {
  const by = rules.length === 0 ? '' : ` (${rules.join(', ')})`;
  const whose = owner === 'conflict' ? bad(owner) : owner === 'host' ? owner : good(owner);
  const how = receive === undefined ? '' : `, ${receiptText(receive)}`;
  return [`${nodes[0] ?? device}  ${name}  ${kinds.join(', ') || 'other'}: `, whose, `${how}${by}`];
}
