import { lstatSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  type Ancestor,
  attributeNames,
  type Device,
  parseNumber,
  recordId,
  type SeatSubsystem,
  slowAttributes,
} from '../core/device.js';
import { isHidDevice } from '../core/hid.js';
import { inodeOf, isNoFile, linkName, namesIn, readOptional, resolvedPath } from '../kernel/read.js';
import { subsystems } from './messages.js';
import { inputKeys } from './uevent-keys.js';

const longestAttribute = 256;

/** Where sysfs and udev's database are; elsewhere in tests. */
export interface Roots {
  readonly sys: string;
  readonly data: string;
}
export const host: Roots = { sys: '/sys', data: '/run/udev/data' };

/** The attributes that a device has; undefined as long as they could not be read. */
export type SlowReader = (syspath: string, roots: Roots) => Readonly<Record<string, string>> | undefined;

/** Reads them at once, and waits: for a program that nobody else waits for. */
const readAtOnce: SlowReader = (syspath, roots) => {
  const { found, failed } = readAttributes(located(syspath, roots), attributeNames);
  return failed.length === 0 ? found : undefined;
};

/** Keys of a device node in its `uevent` file. */
const nodeKeys: ReadonlySet<string> = new Set(['DEVNAME', 'DEVTYPE', 'MAJOR', 'MINOR']);
/**
 * Keys of other devices (input_dev_uevent). NAME, PHYS and UNIQ are the device's own words, and a newline in them
 * starts a line of its own in this file. So nothing is taken from it that could name a seat, a node or a kind.
 */
const otherKeys: ReadonlySet<string> = new Set(['DEVTYPE', 'DRIVER', ...inputKeys]);

/** An entry of udev's database. */
interface Entry {
  readonly properties: Record<string, string>;
  readonly tags: string[];
  readonly links: string[];
}

/**
 * All devices of our subsystems that udevd has finished with, read from sysfs and from udev's database
 * (`/run/udev/data`). Starts no process.
 */
export const enumerate = (roots: Roots = host, slow: SlowReader = readAtOnce): Device[] =>
  listed(roots).flatMap((one) => {
    const syspath = syspathOf(one, roots);
    return syspath === undefined ? [] : (readDevice(syspath, one.subsystem, roots, slow) ?? []);
  });

/** A name in `/sys/class`. */
interface Listed {
  readonly subsystem: SeatSubsystem;
  readonly name: string;
}

/** The names of all devices of our subsystems, whether udevd has finished with them or not. */
export const listed = (roots: Roots = host): Listed[] =>
  subsystems.flatMap((subsystem) => namesIn(join(roots.sys, 'class', subsystem)).map((name) => ({ subsystem, name })));

/** Where a device lies; undefined when it has gone. */
export function syspathOf({ subsystem, name }: Listed, roots: Roots = host): string | undefined {
  const path = resolvedPath(join(roots.sys, 'class', subsystem, name));
  if (path === undefined || !path.startsWith(join(roots.sys, 'devices/'))) return undefined;
  return `/sys${path.slice(roots.sys.length)}`;
}

/** One device, undefined when it has gone or udevd has not finished with it. */
export function readDevice(
  syspath: string,
  subsystem: SeatSubsystem,
  roots: Roots = host,
  slow: SlowReader = readAtOnce,
): Device | undefined {
  const path = located(syspath, roots);
  const number = parseNumber(readOptional(join(path, 'dev')) ?? '');
  const uevent = parseLines(readOptional(join(path, 'uevent')), number === undefined ? otherKeys : nodeKeys);
  if (uevent === undefined) return undefined;
  const sysname = basename(syspath).replaceAll('!', '/');
  const entry = readEntry(recordId({ subsystem, sysname, number }), roots);
  if (entry === undefined) return undefined;
  const devname = uevent.get('DEVNAME');
  return Object.assign(surroundings(syspath, roots, slow), {
    syspath,
    incarnation: incarnationOf(syspath, roots),
    subsystem,
    sysname,
    devtype: uevent.get('DEVTYPE'),
    node: devname === undefined ? undefined : `/dev/${devname}`,
    number,
    properties: {
      ...Object.fromEntries(uevent),
      ...entry.properties,
      ...(devname === undefined ? {} : { DEVNAME: `/dev/${devname}` }),
    },
    tags: entry.tags,
    links: entry.links,
  });
}

/**
 * The number of the last message that the kernel sent about any device (kernel/ksysfs.c, uevent_seqnum_show): udevd's message
 * about it has it as SEQNUM.
 */
export const lastSequence = (roots: Roots = host): number =>
  Number(readOptional(join(roots.sys, 'kernel/uevent_seqnum')) ?? 0);

/** Names of the inputs of a HID device, and of those paired with it, whether udevd has finished with them or not. */
export function inputsOf(hid: string, roots: Roots = host): string[] {
  const path = located(hid, roots);
  const paired = namesIn(path).map((name) => join(hid, name));
  return [...namesIn(join(path, 'input')), ...paired.filter(isHidDevice).flatMap((other) => inputsOf(other, roots))];
}

/** The inode of a device's sysfs directory, as in `Incarnation`; undefined when there is none. */
export const incarnationOf = (syspath: string, roots: Roots = host): string | undefined =>
  inodeOf(located(syspath, roots))?.toString();

/** Where a path in sysfs is found. */
export const located = (syspath: string, roots: Roots): string => join(roots.sys, syspath.slice('/sys'.length));

/** `/run/udev/data/<id>`; undefined while udevd has not initialised the device. */
function readEntry(id: string, roots: Roots): Entry | undefined {
  const data = readOptional(join(roots.data, id));
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
export function surroundings(
  syspath: string,
  roots: Roots = host,
  slow: SlowReader = readAtOnce,
): Pick<Device, 'ancestors' | Own> {
  let ancestors: Ancestor[] | undefined;
  let own: Pick<Ancestor, Own> | undefined;
  const look = (): Pick<Ancestor, Own> => {
    own ??= attributesOf(syspath, roots, slow);
    return own;
  };
  return {
    get ancestors() {
      ancestors ??= ancestorsOf(syspath, roots, slow);
      return ancestors;
    },
    get attributes() {
      return look().attributes;
    },
    get unread() {
      return look().unread;
    },
  };
}

type Own = 'attributes' | 'unread';

/** Parents that are devices themselves (they have a `uevent` file), nearest first. */
function ancestorsOf(syspath: string, roots: Roots, slow: SlowReader): Ancestor[] {
  const found: Ancestor[] = [];
  for (let parent = dirname(syspath); parent.startsWith('/sys/devices/'); parent = dirname(parent)) {
    const path = located(parent, roots);
    if (!exists(join(path, 'uevent'))) continue;
    found.push(
      Object.assign(attributesOf(parent, roots, slow), {
        syspath: parent,
        sysname: basename(parent),
        subsystem: linkName(join(path, 'subsystem')),
        driver: linkName(join(path, 'driver')),
      }),
    );
  }
  return found;
}

const quickAttributes = attributeNames.filter((name) => !slowAttributes.includes(name));

/**
 * The slow ones, and those that cannot be read here and now, are looked for each time until they have been read: that an
 * attribute could not be read, for want of a descriptor or of anything else, does not say that there is none.
 */
function attributesOf(syspath: string, roots: Roots, slow: SlowReader): Pick<Ancestor, Own> {
  const path = located(syspath, roots);
  const { found: quick, failed } = readAttributes(path, quickAttributes);
  const named = [...slowAttributes.filter((name) => exists(join(path, name))), ...failed];
  if (named.length === 0) return { attributes: quick };
  let all: Record<string, string> | undefined;
  const look = (): Record<string, string> | undefined => {
    const found = all === undefined ? slow(syspath, roots) : undefined;
    if (found !== undefined) all = inOrder({ ...found, ...quick });
    return all;
  };
  return {
    get attributes() {
      return look() ?? quick;
    },
    get unread() {
      return look() === undefined ? named : undefined;
    },
  };
}

const inOrder = (found: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(attributeNames.flatMap((name) => (name in found ? [[name, found[name] ?? '']] : [])));

/** Those of these attributes that a device has, and the names of those that it has or may have and that cannot be read. */
function readAttributes(
  path: string,
  names: readonly string[],
): { readonly found: Record<string, string>; readonly failed: readonly string[] } {
  const failed: string[] = [];
  const found = attributesFrom(names, (name) => {
    try {
      return readFileSync(join(path, name), 'utf8');
    } catch (error) {
      if (!isNoFile(error)) failed.push(name);
      return undefined;
    }
  });
  return { found, failed };
}

/** Attributes as rules match them. `textOf`: what their files say; undefined for one that is not there. */
export function attributesFrom(
  names: readonly string[],
  textOf: (name: string, index: number) => string | undefined,
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [index, name] of names.entries()) {
    const value = textOf(name, index);
    // udev matches without trailing white space. A control character becomes a character that no policy can write, so
    // that a device gains no match by it that udev would not see.
    if (value !== undefined)
      found[name] = value
        .trimEnd()
        .slice(0, longestAttribute)
        .replace(/\p{Cc}/gu, '\ufffd');
  }
  return found;
}

function parseLines(value: string | undefined, keys: ReadonlySet<string>): Map<string, string> | undefined {
  if (value === undefined) return undefined;
  const lines = new Map<string, string>();
  for (const line of value.split('\n')) {
    const at = line.indexOf('=');
    const key = line.slice(0, at);
    if (at > 0 && keys.has(key)) lines.set(key, line.slice(at + 1));
  }
  return lines;
}

function exists(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
