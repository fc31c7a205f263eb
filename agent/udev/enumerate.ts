import { lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Ancestor, type Device, type DeviceNumber, recordId, type Subsystem } from '../core/device.js';

const classes: readonly Subsystem[] = ['input', 'sound', 'drm'];

/** Attributes of a device and of its ancestors that policies may match: what `udevadm info -a` is used for. */
const attributeNames = [
  'name', 'phys', 'uniq', 'idVendor', 'idProduct', 'serial', 'manufacturer', 'product', 'bInterfaceNumber',
  'bInterfaceClass', 'vendor', 'device', 'class', 'id/vendor', 'id/product', 'id/bustype', 'id', 'number',
] as const;
const longestAttribute = 256;

/** An entry of udev's database. */
interface Entry {
  readonly properties: Record<string, string>;
  readonly tags: string[];
  readonly links: string[];
}

/**
 * All devices of the three subsystems that udevd has finished with, read from sysfs and from udev's database
 * (`/run/udev/data`). Starts no process.
 */
export function enumerate(): Device[] {
  return classes.flatMap((subsystem) => {
    const directory = join('/sys/class', subsystem);
    return listing(directory).flatMap((name) => {
      const syspath = resolved(join(directory, name));
      return syspath === undefined ? [] : (readDevice(syspath, subsystem) ?? []);
    });
  });
}

/** One device, undefined when it has gone or udevd has not finished with it. */
export function readDevice(syspath: string, subsystem: Subsystem): Device | undefined {
  const uevent = parseLines(text(join(syspath, 'uevent')));
  if (uevent === undefined) return undefined;
  const sysname = basename(syspath).replaceAll('!', '/');
  const number = parseNumber(text(join(syspath, 'dev')));
  const entry = readEntry(recordId({ subsystem, sysname, number }));
  if (entry === undefined) return undefined;
  const devname = uevent.get('DEVNAME');
  return Object.assign(surroundings(syspath), {
    syspath,
    subsystem,
    sysname,
    devtype: uevent.get('DEVTYPE'),
    node: devname === undefined ? undefined : `/dev/${devname}`,
    number,
    properties: { ...Object.fromEntries(uevent), ...entry.properties },
    tags: entry.tags,
    links: entry.links,
  });
}

/** `/run/udev/data/<id>`; undefined while udevd has not initialised the device. */
function readEntry(id: string): Entry | undefined {
  const data = text(join('/run/udev/data', id));
  if (data === undefined) return undefined;
  const entry: Entry = { properties: {}, tags: [], links: [] };
  for (const line of data.split('\n')) {
    const value = line.slice(2);
    switch (line.slice(0, 2)) {
      case 'E:': {
        const at = value.indexOf('=');
        if (at > 0) entry.properties[value.slice(0, at)] = value.slice(at + 1);
        break;
      }
      case 'Q:':
        entry.tags.push(value);
        break;
      case 'S:':
        entry.links.push(`/dev/${value}`);
        break;
      case 'I:':
        entry.properties['USEC_INITIALIZED'] = value;
        break;
    }
  }
  return entry;
}

/**
 * Ancestors and attributes of a device, read from sysfs when a rule first asks for them: most policies never do, and
 * it would be the slowest thing on the way of an event.
 */
export function surroundings(syspath: string): Pick<Device, 'ancestors' | 'attributes'> {
  let ancestors: Ancestor[] | undefined;
  let attributes: Record<string, string> | undefined;
  return {
    get ancestors() {
      ancestors ??= ancestorsOf(syspath);
      return ancestors;
    },
    get attributes() {
      attributes ??= attributesOf(syspath);
      return attributes;
    },
  };
}

/** Parents that are devices themselves (they have a `uevent` file), nearest first. */
function ancestorsOf(syspath: string): Ancestor[] {
  const found: Ancestor[] = [];
  for (let path = dirname(syspath); path.startsWith('/sys/devices/'); path = dirname(path)) {
    if (!exists(join(path, 'uevent'))) continue;
    found.push({
      syspath: path,
      sysname: basename(path),
      subsystem: linkName(join(path, 'subsystem')),
      driver: linkName(join(path, 'driver')),
      attributes: attributesOf(path),
    });
  }
  return found;
}

function attributesOf(path: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of attributeNames) {
    const value = text(join(path, name));
    // udev cuts trailing white space and replaces what is not printable; so does what rules are matched against.
    if (value !== undefined) found[name] = value.trimEnd().slice(0, longestAttribute);
  }
  return found;
}

export function parseNumber(value: string | undefined): DeviceNumber | undefined {
  const [, major, minor] = /^(\d+):(\d+)\s*$/.exec(value ?? '') ?? [];
  return major === undefined || minor === undefined ? undefined : { major: Number(major), minor: Number(minor) };
}

function parseLines(value: string | undefined): Map<string, string> | undefined {
  if (value === undefined) return undefined;
  const lines = new Map<string, string>();
  for (const line of value.split('\n')) {
    const at = line.indexOf('=');
    if (at > 0) lines.set(line.slice(0, at), line.slice(at + 1));
  }
  return lines;
}

function text(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function exists(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

function linkName(path: string): string | undefined {
  try {
    return basename(readlinkSync(path));
  } catch {
    return undefined;
  }
}

function listing(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function resolved(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
