import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { type DeviceNumber, type Incarnation, isSame, numberOf, numberText } from '../core/device.js';
import { isPlainId } from '../core/plain.js';
import { inodeOf, resolvedPath } from './read.js';

/**
 * Whether a device has a number now, and is the very device that is meant: after a new plug its directory in sysfs is
 * another directory. `sys`: where sysfs is.
 */
export function isStillAt(number: DeviceNumber, device: Incarnation, sys = '/sys'): boolean {
  if (isPlainId(device.syspath)) return isNode({ ...device, incarnation: numberText(number) });
  const path = resolvedPath(join(sys, 'dev/char', numberText(number)));
  if (path === undefined) return false;
  return isSame({ syspath: `/sys${path.slice(sys.length)}`, incarnation: inodeOf(path)?.toString() }, device);
}

/** The number of the character device that a node in `/dev` opens; undefined where there is no such node. */
export function nodeNumber(path: string): DeviceNumber | undefined {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat?.isCharacterDevice() === true ? numberOf(stat.rdev) : undefined;
}

/** Whether a plain node is there, and still opens the device that is meant. */
export function isNode({ syspath, incarnation }: Incarnation): boolean {
  const number = nodeNumber(syspath);
  return number !== undefined && numberText(number) === incarnation;
}
