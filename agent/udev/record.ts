import type { Presentation } from '../core/desired.js';
import { type Device, recordId } from '../core/device.js';
import { masterTag } from '../core/last-word.js';
import { allowedProperties, allowTags } from './allow.js';

/** Properties that libudev takes from sysfs, so that the database has none of them (device_update_db). */
const fromSysfs = new Set([
  'DEVNAME',
  'DEVPATH',
  'SUBSYSTEM',
  'DEVTYPE',
  'MAJOR',
  'MINOR',
  'SEQNUM',
  'USEC_INITIALIZED',
]);

/**
 * A device as a container sees it: its entry in `/run/udev/data` (systemd, sd-device's handle_db_line: `I:` time, `E:`
 * property, `G:` tag, `Q:` current tag, `V:` version; every line ends in a newline, or the last one is lost), and the
 * properties of its announcement. Both pass the same allow-list, and both present it as seat0's.
 */
export function presentation(device: Device): Presentation {
  const known = presented.get(device);
  if (known !== undefined) return known;
  const made = present(device);
  presented.set(device, made);
  return made;
}

/** Made once for what udevd said of a device: a seat is looked at as a whole whenever one device of it changes. */
const presented = new WeakMap<Device, Presentation>();

function present(device: Device): Presentation {
  const properties = allowedProperties(identified(device));
  const tags = allowTags(ownTags(device));
  const lines = [
    ...(properties['USEC_INITIALIZED'] === undefined ? [] : [`I:${properties['USEC_INITIALIZED']}`]),
    ...Object.entries(properties)
      .filter(([key]) => !fromSysfs.has(key))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `E:${key}=${value}`),
    ...tags.map((tag) => `G:${tag}`),
    ...tags.map((tag) => `Q:${tag}`),
    'V:1',
  ];
  return { record: { id: recordId(device), text: lines.map((line) => `${line}\n`).join(''), tags }, properties };
}

/** On a host with a desktop of its own Hotseat's rules take a tag from a seat's card: that is the host's affair alone. */
const ownTags = ({ subsystem, sysname, tags }: Device): readonly string[] =>
  subsystem === 'drm' && sysname.startsWith('card') && tags.includes('seat') && !tags.includes(masterTag)
    ? [...tags, masterTag]
    : tags;

/** The identity of a device comes from sysfs, not from messages about it. */
function identified(device: Device): Record<string, string> {
  const { syspath, subsystem, devtype, node, number, properties } = device;
  return {
    ...properties,
    DEVPATH: syspath.slice('/sys'.length),
    SUBSYSTEM: subsystem,
    ...(devtype === undefined ? {} : { DEVTYPE: devtype }),
    ...(node === undefined ? {} : { DEVNAME: node }),
    ...(number === undefined ? {} : { MAJOR: String(number.major), MINOR: String(number.minor) }),
  };
}
