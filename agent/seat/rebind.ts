import { existsSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * Unbinds the driver of the USB interface that a unit hangs on and binds it again: every descriptor of every node dies
 * in the kernel, and the device comes back under a new name. For nodes that have no revoke ioctl.
 * Returns the interface (`1-2:1.0`). Throws when the unit is on no USB interface; nothing is done then.
 */
export function rebind(unit: string): string {
  for (let path = unit; path.startsWith('/sys/devices/'); path = dirname(path)) {
    if (!existsSync(join(path, 'bInterfaceNumber'))) continue;
    const driver = realpathSync(join(path, 'driver'));
    const name = basename(path);
    writeFileSync(join(driver, 'unbind'), name);
    writeFileSync(join(driver, 'bind'), name);
    return name;
  }
  throw new Error(`${unit} hangs on no USB interface: its driver cannot be bound again`);
}
