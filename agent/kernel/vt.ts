import { constants, openSync } from 'node:fs';
import { syscall } from './libc.js';

/** Keyboard modes of a virtual console (linux/kd.h, ioctl_console(2)). `off`: its keyboard delivers nothing. */
export const keyboardMode = { raw: 0, xlate: 1, mediumRaw: 2, unicode: 3, off: 4 } as const;

const request = { getMode: 0x4b44, setMode: 0x4b45 }; // KDGKBMODE, KDSKBMODE

/** Opens a console without making it the controlling terminal; the caller closes it. */
export const openConsole = (number: number): number =>
  openSync(`/dev/tty${number}`, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);

/** Keyboard mode of a console (KDGKBMODE, ioctl_console(2)). */
export function getKeyboardMode(fd: number): number {
  const mode = Buffer.alloc(4);
  syscall('ioctl', 'KDGKBMODE', fd, request.getMode, mode);
  return mode.readInt32LE(0);
}

/** Sets the keyboard mode of a console (KDSKBMODE, ioctl_console(2)). */
export const setKeyboardMode = (fd: number, mode: number): void => {
  syscall('ioctl', 'KDSKBMODE', fd, request.setMode, mode);
};
