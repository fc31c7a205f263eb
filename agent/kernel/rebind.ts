import { existsSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { NodeClass } from '../core/device.js';
import { hidDevicesAbove } from '../core/hid.js';

/**
 * Makes every descriptor of every node of a unit die in the kernel, for nodes that have no revoke ioctl; the device
 * comes back under a new name. An input's USB interface has its driver unbound and bound again. A sound card spans
 * several interfaces, and its driver refuses to come back to one of them alone (sound/usb/card.c, usb_audio_probe): the
 * whole USB device is deauthorized and authorized. A unit on a HID device without USB, such as a Bluetooth keyboard,
 * has the HID driver bound again. A unit on a PS/2 port (drivers/input/serio/serio.c) has the port's driver bound
 * again. Returns which (`1-2:1.0`, `1-2`, `0005:1209:0002.0001` or `serio0`). Throws when the unit is on none of them;
 * nothing is done then.
 */
export function rebind(unit: string, kind: NodeClass): string {
  const [mark, again] =
    kind === 'snd' ? (['authorized', reauthorize] as const) : (['bInterfaceNumber', bindAnew] as const);
  for (let path = unit; path.startsWith('/sys/devices/'); path = dirname(path)) {
    if (!existsSync(join(path, mark)) || (kind === 'snd' && !existsSync(join(path, 'idVendor')))) continue;
    again(path);
    return basename(path);
  }
  const port = hidDevicesAbove(unit)[0] ?? /^.*\/serio\d+(?=\/)/.exec(unit)?.[0];
  if (port === undefined) {
    throw new Error(`${unit} is on no USB device, HID device or PS/2 port: its driver cannot be bound again`);
  }
  bindAnew(port);
  return basename(port);
}

function bindAnew(path: string): void {
  const driver = realpathSync(join(path, 'driver'));
  writeFileSync(join(driver, 'unbind'), basename(path));
  writeFileSync(join(driver, 'bind'), basename(path));
}

function reauthorize(path: string): void {
  writeFileSync(join(path, 'authorized'), '0');
  writeFileSync(join(path, 'authorized'), '1');
}
