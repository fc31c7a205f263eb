import { type Device, isJoint, majors, type Subsystem, type Unit } from './device.js';

// Not always below a directory `input`: a sound card's jacks are `sound/card0/input7` (drivers/base/core.c, get_device_parent).
const input = /^(.*\/input\d+)(?:\/(?:event|mouse|js)\d+)?$/;
const joint = /^\/sys\/devices\/virtual\/sound\/(?:seq|timer)$/;
// Any name of a card's node, such as `umpC3D0` since 6.5: a kind that a later kernel brings belongs to its card as
// well.
const sound = /^(.*\/sound\/card\d+)(?:\/[a-z]+C\d+(?:D\d+)?[a-z]?)?$/;
const drm = /^(.*\/drm)\/(?:card|renderD)\d+$/;

/** Names that may become nodes in a seat; never `mice`, which hears every seat's. */
const nodes: Readonly<Record<Subsystem, RegExp>> = {
  input: /^(event|mouse|js)\d+$/,
  sound: /^(?:[a-z]+C\d+(?:D\d+)?[a-z]?|seq|timer)$/,
  drm: /^(card|renderD)\d+$/,
};

/**
 * Which unit a device belongs to: the syspath of its head (`inputN`, sound `cardN`), or the `drm` directory that a card
 * and its render node share; `seq` and `timer` are units of their own. Undefined for devices that can belong to no
 * unit, such as `/dev/input/mice` or a connector.
 */
export function unitOf(subsystem: string, syspath: string): string | undefined {
  switch (subsystem) {
    case 'input':
      return input.exec(syspath)?.[1];
    case 'sound':
      return joint.test(syspath) ? syspath : sound.exec(syspath)?.[1];
    case 'drm':
      return drm.exec(syspath)?.[1];
    default:
      return undefined;
  }
}

/** Puts the devices of one unit together; undefined while its head is missing, or while a card is still being set up. */
export function unitFrom(id: string, devices: readonly Device[]): Unit | undefined {
  const subsystem = devices[0]?.subsystem;
  if (subsystem !== 'input' && subsystem !== 'sound' && subsystem !== 'drm') return undefined;
  const head =
    subsystem === 'drm'
      ? devices.find(({ sysname }) => sysname.startsWith('card'))
      : devices.find(({ syspath }) => syspath === id);
  if (head === undefined || isUnfinished(head)) return undefined;
  const members = devices.filter(
    (device) =>
      device.subsystem === subsystem &&
      device.number?.major === majors[subsystem] &&
      nodes[subsystem].test(device.sysname),
  );
  return { id, subsystem, head, nodes: members.sort((a, b) => rank(a) - rank(b) || (a.sysname < b.sysname ? -1 : 1)) };
}

/** A sound card is whole when its control node, the last, has come (systemd, 78-sound-card.rules). */
const isUnfinished = (head: Device): boolean =>
  head.subsystem === 'sound' && !isJoint(head) && head.properties['SOUND_INITIALIZED'] !== '1';

/** The control node of a sound card and the card node of a GPU come last: a program that sees them opens the others. */
const rank = ({ sysname }: Device): number => (/^(controlC|card)\d/.test(sysname) ? 1 : 0);
