import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { type DeviceNumber, type Incarnation, isSame, numberOf, numberText } from '../core/device.js';
import { isPlainDriver, isPlainId } from '../core/plain.js';
import { driverOf } from './majors.js';
import { inodeOf, resolvedPath } from './read.js';

/**
 * Whether a device has a number now, and is the very device that is meant: after a new plug its directory in sysfs is
 * another directory. `sys`: where sysfs is.
 */
export function isStillAt(number: DeviceNumber, device: Incarnation, sys = '/sys'): boolean {
  if (isPlainId(device.syspath)) return isPlainThere({ ...device, incarnation: numberText(number) });
  const path = resolvedPath(join(sys, 'dev/char', numberText(number)));
  if (path === undefined) return false;
  return isSame({ syspath: `/sys${path.slice(sys.length)}`, incarnation: inodeOf(path)?.toString() }, device);
}

/** NVIDIA's own (nv-chardev-numbers.h). All others are the kernel's choice when a driver is loaded. */
const fixedMajor = 195;

/**
 * The number of a node in `/dev` by which a driver of a graphics card is opened. Undefined where there is no such node, and where its
 * number is that of another driver by now: a node that a program has made stays when its driver goes, and the kernel gives the
 * major away again.
 */
export function plainNumber(path: string): DeviceNumber | undefined {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  if (stat?.isCharacterDevice() !== true) return undefined;
  const number = numberOf(stat.rdev);
  const driver = driverOf(number.major);
  const isOurs = driver === undefined ? number.major === fixedMajor : isPlainDriver(driver);
  return isOurs ? number : undefined;
}

/** Whether such a node is there, and still opens the device that is meant. */
export function isPlainThere({ syspath, incarnation }: Incarnation): boolean {
  const number = plainNumber(syspath);
  return number !== undefined && numberText(number) === incarnation;
}
