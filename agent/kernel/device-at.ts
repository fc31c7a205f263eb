import { type DeviceNumber, type Incarnation, isSame, numberText } from '../core/device.js';
import { inodeOf, resolvedPath } from './read.js';

/**
 * Whether a device has a number now, and is the very device that is meant: after a new plug its directory in sysfs is
 * another directory.
 */
export function isStillAt(number: DeviceNumber, device: Incarnation): boolean {
  const syspath = resolvedPath(`/sys/dev/char/${numberText(number)}`);
  return syspath !== undefined && isSame({ syspath, incarnation: inodeOf(syspath)?.toString() }, device);
}
