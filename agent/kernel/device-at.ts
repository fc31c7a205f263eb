import { statSync } from 'node:fs';
import { type DeviceNumber, type Incarnation, isSame, numberText } from '../core/device.js';
import { resolvedPath } from './read.js';

/** Whether a device has a number now, and is the very one that is meant: its directory in sysfs is another one after a new plug. */
export function isStillAt(number: DeviceNumber, device: Incarnation): boolean {
  const syspath = resolvedPath(`/sys/dev/char/${numberText(number)}`);
  if (syspath === undefined) return false;
  const incarnation = statSync(syspath, { bigint: true, throwIfNoEntry: false })?.ino.toString();
  return isSame({ syspath, incarnation }, device);
}
