import { constants } from 'node:fs';
import { type DeviceNumber, numberText } from '../core/device.js';
import { isHeldAt } from './held.js';
import { syscall } from './libc.js';
import { isGone } from './read.js';

const here = -100; // AT_FDCWD
const dontSync = 0x4000; // AT_STATX_DONT_SYNC

export interface Look {
  /** Tells this file from every other one. */
  readonly identity: string;
  /** The bits of its mode that say its kind (S_IFMT, inode(7));  none of them for most files without a name. */
  readonly kind: number;
  /** Of a character device. */
  readonly device: DeviceNumber | undefined;
}

/**
 * What is at a path of procfs that leads to a file of somebody else, such as `/proc/PID/exe` (statx(2)); `unseen` when it is
 * there and we are not told. Never by plain stat: a file of a FUSE mount would be asked of its server, which may be frozen
 * with the container that we look into, and we would wait for it for ever. `unseen` as well while its
 * process executes a program (`watchExecs`).
 */
export function look(path: string): Look | 'gone' | 'unseen' {
  // struct statx (linux/stat.h): mode at 28, inode at 32, rdev at 128, device of the file system at 136.
  if (isHeldAt(path)) return 'unseen';
  const found = Buffer.alloc(256);
  try {
    syscall('statx', path, here, path, dontSync, 0, found);
  } catch (error) {
    return isGone(error) ? 'gone' : 'unseen';
  }
  const kind = found.readUInt16LE(28) & constants.S_IFMT;
  return {
    identity: `${found.readUInt32LE(136)}:${found.readUInt32LE(140)}:${found.readBigUInt64LE(32)}`,
    kind,
    device: kind === constants.S_IFCHR ? { major: found.readUInt32LE(128), minor: found.readUInt32LE(132) } : undefined,
  };
}

/** The same; undefined when it has gone, or we are not told. */
export function lookAt(path: string): Look | undefined {
  const found = look(path);
  return typeof found === 'string' ? undefined : found;
}

/** Which character device a descriptor of a process is of, `MAJOR:MINOR`; empty when it is of none. */
export function rdevOf(pid: number, fd: number): string {
  const device = lookAt(`/proc/${pid}/fd/${fd}`)?.device;
  return device === undefined ? '' : numberText(device);
}
