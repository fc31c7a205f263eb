import { hostSeat } from './decide.js';
import type { Device, Unit } from './device.js';
import type { Verdict } from './verdict.js';

/**
 * Tags by which the host gives its own users access to a node: udev's builtin (70-uaccess.rules), ConsoleKit's, and
 * those for remote sessions: `xaccess` before systemd 260 (distributions carry it), since then every `xaccess-…`, of
 * which its own 70-uaccess.rules has these two. udev can take away only tags that are named in full.
 */
export const accessTags = ['uaccess', 'udev-acl', 'xaccess', 'xaccess-render', 'xaccess-accel'] as const;

/**
 * udev's tag for devices that make a seat of logind: every graphics card and each of its connectors (71-seat.rules).
 */
export const masterTag = 'master-of-seat';

/** Everything else that calls itself so. */
const anyAccess = /^([a-z]?access|udev-acl)(-|$)|-acl$/;

/** systemd's for the keys by which logind suspends the PC or switches it off (70-power-switch.rules). */
export const powerTag = 'power-switch';

/** Whether the host gives its own users access to a node, by any of these. */
export const isAccessible = ({ tags }: Pick<Device, 'tags'>): boolean => tags.some((tag) => anyAccess.test(tag));

/** udevd's final word about a seat's device, when it differs from that of Hotseat's own rules. */
export interface LastWord {
  /** Its node, or its path where it has none. */
  readonly device: string;
  readonly what: 'seat' | 'tag';
  /** Empty where a property is not set. */
  readonly got: string;
  readonly wanted: string;
}

/** Where a udev rule that comes after Hotseat's has the last word on a device of a seat. Pure. */
export function lastWords(units: readonly Unit[], judged: ReadonlyMap<string, Verdict>): LastWord[] {
  return units.flatMap((unit) => {
    const verdict = judged.get(unit.id);
    const wanted = verdict && hostSeat(verdict);
    if (wanted === undefined) return [];
    return [...new Set([unit.head, ...unit.nodes])].flatMap((device) => wordsOn(device, wanted));
  });
}

function wordsOn({ node, syspath, properties, tags }: Device, wanted: string): LastWord[] {
  // Until udevd has followed the verdict it has said nothing of it yet.
  if (properties['HOTSEAT_SEAT'] !== wanted) return [];
  const device = node ?? syspath;
  const got = properties['ID_SEAT'] ?? '';
  return [
    ...(got === wanted ? [] : [{ device, what: 'seat', got, wanted } as const]),
    ...tags
      .filter((tag) => anyAccess.test(tag) || tag === powerTag)
      .map((tag) => ({ device, what: 'tag', got: tag, wanted }) as const),
  ];
}

/** The seat that a rule after Hotseat's gave to a device that is no seat's; undefined where none did. */
export function lateSeat({ properties }: Device): string | undefined {
  const { ID_SEAT, HOTSEAT_SEAT, HOTSEAT_ADMIN_SEAT } = properties;
  const isLate = ID_SEAT !== undefined && ID_SEAT !== 'seat0' && HOTSEAT_SEAT === undefined;
  return isLate && HOTSEAT_ADMIN_SEAT === undefined ? ID_SEAT : undefined;
}
