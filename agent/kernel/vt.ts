import { closeSync, constants, openSync } from 'node:fs';
import { syscall } from './libc.js';

/** Keyboard modes of a virtual console (linux/kd.h, ioctl_console(2)). `off`: its keyboard delivers nothing. */
export const keyboardMode = { raw: 0, xlate: 1, mediumRaw: 2, unicode: 3, off: 4 } as const;

const request = { getMode: 0x4b44, setMode: 0x4b45 }; // KDGKBMODE, KDSKBMODE

/** Runs something with a console open, without making it the controlling terminal. Console 0 is the foreground one. */
export function withConsole<T>(number: number, action: (fd: number) => T): T {
  const fd = openSync(`/dev/tty${number}`, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  try {
    return action(fd);
  } finally {
    closeSync(fd);
  }
}

export function getKeyboardMode(fd: number): number {
  const mode = Buffer.alloc(4);
  syscall('ioctl', 'KDGKBMODE', fd, request.getMode, mode);
  return mode.readInt32LE(0);
}

export const setKeyboardMode = (fd: number, mode: number): void => {
  syscall('ioctl', 'KDSKBMODE', fd, request.setMode, mode);
};
