import type { Properties } from '../core/step.js';
import type { Action } from './datagram.js';
import { inputKeys } from './uevent-keys.js';

/** The kernel's limit for a message with its header and the sequence number that it adds itself, bytes (UEVENT_BUFFER_SIZE). */
const largest = 2048 - 16 - 'SEQNUM='.length - 21;

/** Keys that the kernel itself has of a device, in this order. The udevd in the container finds out the rest. */
const said = [
  ...['SUBSYSTEM', 'MAJOR', 'MINOR', 'DEVNAME', 'DEVTYPE'],
  ...['HOTPLUG', 'CONNECTOR', 'PROPERTY', 'LEASE'],
  ...inputKeys,
];

/**
 * A message as the kernel sends it to a udevd (lib/kobject_uevent.c): `add@/devices/…`, then `KEY=VALUE` strings, each
 * ended by a NUL. Keys that do not fit are left out, from the end: udevd reads them from sysfs as well. `properties`
 * must have DEVPATH and SUBSYSTEM.
 * @throws Error when a text could be read as two
 */
export function encodeKernel(action: Action, properties: Properties): Buffer {
  const path = properties['DEVPATH'] ?? '';
  const lines = [`${action}@${path}`, `ACTION=${action}`, `DEVPATH=${path}`];
  for (const key of said) {
    const value = properties[key];
    // In the kernel's own messages a node is named below /dev.
    if (value !== undefined) lines.push(`${key}=${key === 'DEVNAME' ? value.replace(/^\/dev\//, '') : value}`);
  }
  for (const line of lines) {
    if (/\p{Cc}/u.test(line)) throw new Error(`not a property of a uevent: ${JSON.stringify(line)}`);
  }
  let size = 0;
  const fitting = lines.filter((line) => {
    size += Buffer.byteLength(line) + 1;
    return size <= largest;
  });
  return Buffer.from(fitting.map((line) => `${line}\0`).join(''));
}
