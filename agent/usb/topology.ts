import { basename, dirname, join } from 'node:path';
import { usb } from 'usb';
import { linkName, readOptional, resolvedPath } from '../kernel/read.js';

/** Something that is plugged into USB, as people see it: with a socket, a name, and a purpose. */
export interface UsbThing {
  /** Its port as rules write it: `pci-0000:00:14.0-usb-0:2.1`. */
  readonly port: string;
  /** Its own words. Hostile: a device can say anything. */
  readonly name: string;
  /** Vendor and product as `lsusb` prints them: `046d:c31c`. */
  readonly ids: string;
  /** Sockets that it has, when it is a hub. */
  readonly sockets: number | undefined;
  /** The purposes of its interfaces, each once. */
  readonly functions: readonly string[];
}

type UsbDevice = Awaited<ReturnType<typeof usb.getDevices>>[number];

const devices = '/sys/bus/usb/devices';

/** Classes of interfaces that say something to people (usb.org, Defined Class Codes). */
const classNames: Readonly<Record<number, string>> = {
  1: 'audio',
  2: 'modem or network',
  3: 'input',
  6: 'camera or scanner',
  7: 'printer',
  8: 'storage',
  11: 'smart card',
  14: 'video',
  224: 'wireless',
};
const hubClass = 9;

/** Everything that is plugged into USB, hubs included; nothing where there is no USB. Opens no device. */
export async function usbThings(): Promise<UsbThing[]> {
  if (readOptional(join(devices, 'usb1/uevent')) === undefined) return [];
  // Root hubs have no port above them: they are the controller itself.
  return (await usb.getDevices()).flatMap((device) => (device.ports.length === 0 ? [] : (thing(device) ?? [])));
}

function thing(device: UsbDevice): UsbThing | undefined {
  const bus = Number(device.bus);
  const ports = device.ports.join('.');
  const controller = controllerOf(bus);
  if (controller === undefined) return undefined;
  const hub = device.deviceClass === hubClass;
  const hex = (id: number): string => id.toString(16).padStart(4, '0');
  const sockets = Number(readOptional(join(devices, `${bus}-${ports}`, 'maxchild')) ?? 0);
  return {
    port: `${controller}-usb-0:${ports}`,
    name: [device.manufacturerName, device.productName].filter(Boolean).join(' ') || 'nameless',
    ids: `${hex(device.vendorId)}:${hex(device.productId)}`,
    sockets: hub ? sockets : undefined,
    functions: hub ? [] : functionsOf(device),
  };
}

function functionsOf(device: UsbDevice): string[] {
  // A device that is just being set up has no configuration yet.
  const interfaces = device.configurations[0]?.interfaces ?? [];
  return [...new Set(interfaces.flatMap(({ alternate }) => classNames[alternate.interfaceClass] ?? []))];
}

/** A bus's controller as ID_PATH names it, from the devices above its root hub (systemd, udev-builtin-path_id.c). */
function controllerOf(bus: number): string | undefined {
  const root = resolvedPath(join(devices, `usb${bus}`));
  return root && controllerName(dirname(root), (at) => linkName(join(at, 'subsystem')));
}

/** `pci-0000:00:14.0` for `/sys/devices/pci0000:00/0000:00:14.0`. `subsystemAt`: of a device by its path. */
export function controllerName(path: string, subsystemAt: (path: string) => string | undefined): string | undefined {
  const parts: string[] = [];
  let last: string | undefined;
  for (let at = path; at.startsWith('/sys/devices/'); at = dirname(at)) {
    const subsystem = subsystemAt(at);
    // Bridges above a PCI device, and parents of a platform device, are skipped.
    if ((subsystem === 'pci' || subsystem === 'platform') && subsystem !== last) {
      parts.unshift(`${subsystem}-${basename(at)}`);
      last = subsystem;
    }
  }
  return parts.length === 0 ? undefined : parts.join('-');
}
