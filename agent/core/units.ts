import type { Device, Subsystem, Unit } from './device.js';

const input = /^(.*\/input\/input\d+)(?:\/(?:event|mouse|js)\d+)?$/;
const sound = /^(.*\/sound\/card\d+)(?:\/(?:controlC|pcmC|hwC|midiC|comprC)[0-9DCpc]+)?$/;
const drm = /^(.*\/drm)\/(?:card|renderD)\d+$/;

/** Names that may become nodes in a seat; never `mice`, `seq` or `timer`, which join seats. */
const nodes: Readonly<Record<Subsystem, RegExp>> = {
  input: /^(event|mouse|js)\d+$/,
  sound: /^(controlC|pcmC|hwC|midiC|comprC)[0-9DCpc]+$/,
  drm: /^(card|renderD)\d+$/,
};

/**
 * Which unit a device belongs to: the syspath of its head (`inputN`, sound `cardN`), or the `drm` directory that a
 * card and its render node share. Undefined for what can belong to none, such as `/dev/input/mice` or a connector.
 */
export function unitOf(subsystem: string, syspath: string): string | undefined {
  switch (subsystem) {
    case 'input':
      return input.exec(syspath)?.[1];
    case 'sound':
      return sound.exec(syspath)?.[1];
    case 'drm':
      return drm.exec(syspath)?.[1];
    default:
      return undefined;
  }
}

/** Puts the devices of one unit together; undefined while its head is missing. */
export function unitFrom(id: string, devices: readonly Device[]): Unit | undefined {
  const subsystem = devices[0]?.subsystem;
  if (subsystem !== 'input' && subsystem !== 'sound' && subsystem !== 'drm') return undefined;
  const head =
    subsystem === 'drm'
      ? devices.find(({ sysname }) => sysname.startsWith('card'))
      : devices.find(({ syspath }) => syspath === id);
  if (head === undefined) return undefined;
  const members = devices.filter(({ sysname, number }) => number !== undefined && nodes[subsystem].test(sysname));
  return { id, subsystem, head, nodes: members.sort((a, b) => rank(a) - rank(b) || (a.sysname < b.sysname ? -1 : 1)) };
}

/** The control node of a sound card and the card node of a GPU come last: whoever sees them opens the others. */
const rank = ({ sysname }: Device): number => (/^(controlC|card)\d/.test(sysname) ? 1 : 0);
