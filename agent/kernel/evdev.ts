import { isSysError } from './errors.js';
import { syscall } from './libc.js';

/** Largest minus smallest value of an absolute axis; undefined where the device has none such (EVIOCGABS, linux/input.h). */
export function axisRange(fd: number, axis: number): number | undefined {
  // struct input_absinfo: value, minimum, maximum, fuzz, flat, resolution; each of four bytes.
  const info = Buffer.alloc(24);
  try {
    syscall('ioctl', 'EVIOCGABS', fd, 0x80184540 + axis, info);
  } catch (error) {
    if (isSysError(error, 'EINVAL', 'ENODEV', 'ENOTTY')) return undefined;
    throw error;
  }
  return info.readInt32LE(8) - info.readInt32LE(4);
}
