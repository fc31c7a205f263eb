import { close, closeSync, constants, fstatSync, open } from 'node:fs';
import { promisify } from 'node:util';
import { numberOf, numberText, parseNumber } from '../core/device.js';
import { isStillAt } from '../kernel/device-at.js';
import { revokeFileLater } from '../kernel/pidfd.js';
import type { ServedDevice } from './messages.js';

const openFile = promisify(open);
const closeFile = promisify(close);

/** As libseat's own server opens devices: opening must never wait for a peer, nor follow a link. */
const flags = constants.O_RDWR | constants.O_NOCTTY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * An open file of a device, of which a display server has a descriptor. All copies of that descriptor, hidden or not,
 * are this same open file: a revocation here is the end of all of them.
 */
export class OpenedDevice {
  private constructor(
    readonly device: ServedDevice,
    readonly fd: number,
  ) {}

  /**
   * Opens a device, off the loop: the kernel lets a process that opens an idle USB device sleep (drivers/hid/usbhid,
   * usbhid_open). Rejects with `code` ENODEV when another device has its name and number by now.
   */
  static async open(device: ServedDevice): Promise<OpenedDevice> {
    const fd = await openFile(device.path, flags);
    const number = parseNumber(device.number);
    // After it was opened: a device that is there now was there then.
    if (
      number !== undefined &&
      numberText(numberOf(fstatSync(fd, { bigint: true }).rdev)) === device.number &&
      isStillAt(number, device)
    ) {
      return new OpenedDevice(device, fd);
    }
    closeSync(fd);
    throw Object.assign(new Error(`${device.path} is another device`), { code: 'ENODEV' });
  }

  /**
   * Makes the open file dead for all its holders, off the loop: one of them can make the kernel wait (take-back.ts).
   * Settles with why that was not possible; undefined when it was.
   */
  async revoke(): Promise<string | undefined> {
    try {
      await revokeFileLater(this.fd, this.device.kind === 'hidraw' ? 'HIDIOCREVOKE' : 'EVIOCREVOKE');
      return undefined;
    } catch (error) {
      return (error as Error).message;
    } finally {
      await closeFile(this.fd).catch(() => undefined);
    }
  }
}
