import { join } from 'node:path';
import { type DeviceNumber, type Incarnation, isSame, numberText } from '../core/device.js';
import { inodeOf, resolvedPath } from './read.js';

/**
 * Whether a device has a number now, and is the very device that is meant: after a new plug its directory in sysfs is
 * another directory. `sys`: where sysfs is.
 */
export function isStillAt(number: DeviceNumber, device: Incarnation, sys = '/sys'): boolean {
  const path = resolvedPath(join(sys, 'dev/char', numberText(number)));
  if (path === undefined) return false;
  return isSame({ syspath: `/sys${path.slice(sys.length)}`, incarnation: inodeOf(path)?.toString() }, device);
}
