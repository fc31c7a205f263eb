import { type DeviceNumber, type Incarnation, isSame, numberText } from '../core/device.js';
import { inodeOf, resolvedPath } from './read.js';

/** Whether a device has a number now, and is the very one that is meant: its directory in sysfs is another one after a new plug. */
export function isStillAt(number: DeviceNumber, device: Incarnation): boolean {
  const syspath = resolvedPath(`/sys/dev/char/${numberText(number)}`);
  return syspath !== undefined && isSame({ syspath, incarnation: inodeOf(syspath)?.toString() }, device);
}
