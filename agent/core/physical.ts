import type { Unit } from './device.js';
import { grouped } from './grouped.js';
import { hidDevicesAbove } from './hid.js';
import { isKind } from './match.js';
import { nameOf } from './name.js';

/** A USB device in sysfs, as its interfaces and functions lie below it: bus and ports (drivers/usb/core/usb.c). */
const usb = /^(.*\/\d+-\d+(?:\.\d+)*)(?=\/)/;

/** A game controller at an adapter of Microsoft's (xone, gip_create_adapter): each has one of these below the adapter. */
const gip = /^(.*\/gip\d+)(?=\/)/;

/** Where a class begins: the path before it is that of the device that drives all of them. */
const classes = /\/(?:input|sound|drm|hidraw|leds)(?:\/.*)?$/;

/** BUS_USB of a HID device (include/uapi/linux/input.h). */
const ofUsb = /\/0003:[^/]*$/;

/**
 * The one physical thing that a unit, or a raw node, is a part of, by its syspath: the common parent of all its parts.
 * For a device on USB this is the USB device; for a device that is paired with a receiver or an adapter, or comes by Bluetooth or
 * I²C, its HID device; for a card, its function on the bus. A device without such a parent is itself.
 */
export function physicalOf(syspath: string): string {
  const hids = hidDevicesAbove(syspath);
  const hid = hids.at(-1);
  if (hid !== undefined && (hids.length > 1 || !ofUsb.test(hid))) return hid;
  const device = gip.exec(syspath)?.[1] ?? usb.exec(syspath)?.[1];
  if (device !== undefined) return device;
  if (hid !== undefined) return hid;
  // Everything that a program makes lies in one directory.
  if (syspath.startsWith('/sys/devices/virtual/')) return syspath;
  return syspath.replace(classes, '');
}

/** Units by the physical thing that they are parts of. */
export const byPhysical = (units: readonly Unit[]): Map<string, Unit[]> => grouped(units, ({ id }) => physicalOf(id));

/**
 * Whether two parts of one physical device are for two people: pads of one name at one receiver or adapter
 * (drivers/input/joystick/xpad.c makes one for each interface). Neither comes along with the other.
 */
export const areApart = (a: Unit, b: Unit): boolean =>
  a.id !== b.id && isPad(a) && isPad(b) && nameOf(a) === nameOf(b) && physicalOf(a.id) === physicalOf(b.id);

const isPad = ({ head, nodes }: Unit): boolean => isKind('joystick', head, nodes);
