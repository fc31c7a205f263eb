import { closeSync, constants, fchmodSync, fchownSync, fstatSync, readdirSync, writeSync } from 'node:fs';
import { numberOf } from '../core/device.js';
import { isSysError } from './errors.js';
import { syscall } from './libc.js';

const here = -100; // AT_FDCWD
const pathOnly = 0o10000000; // O_PATH
const closeOnExec = 0o2000000; // O_CLOEXEC
const removeDirectory = 0x200; // AT_REMOVEDIR
const noFollow = 0x100; // AT_SYMLINK_NOFOLLOW
const resolve = { noMagicLinks: 0x02n, noSymlinks: 0x04n, beneath: 0x08n, inRoot: 0x10n }; // openat2(2)

/** What a directory entry is, not following links. Ids are host ids. */
export interface EntryStat {
  readonly type: 'character' | 'directory' | 'file' | 'link' | 'other';
  readonly major: number;
  readonly minor: number;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly size: number;
}

export interface NodeOwner {
  readonly major: number;
  readonly minor: number;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits, e.g. 0o660. */
  readonly mode: number;
}

function openat2(directory: number, path: string, flags: number, how: bigint): number {
  const open = Buffer.alloc(24);
  open.writeBigUInt64LE(BigInt(flags | closeOnExec), 0);
  open.writeBigUInt64LE(how, 16);
  return syscall('openat2', path, directory, path, open, 24);
}

/**
 * Opens a host path, or an entry below a descriptor, following no link on the way (openat2(2)).
 * Without flags: a directory, as a place to work in.
 */
export function openAt(directory: number | undefined, path: string, flags: number = constants.O_DIRECTORY): number {
  const how = resolve.noSymlinks | (directory === undefined ? 0n : resolve.beneath);
  return openat2(directory ?? here, path, flags | constants.O_NOFOLLOW, how);
}

/** A descriptor of a process's root directory. */
export const openRoot = (pid: number): number =>
  openat2(here, `/proc/${pid}/root`, pathOnly | constants.O_DIRECTORY, 0n);

/** Opens a directory below a foreign root as that root's own processes would find it, but follows no link at all. */
export const openInRoot = (root: number, path: string): number =>
  openat2(root, path, constants.O_DIRECTORY, resolve.inRoot | resolve.noSymlinks | resolve.noMagicLinks);

/** Makes a directory; one that is there already is left as it is. */
export function mkdirAt(directory: number, name: string, mode: number): void {
  try {
    syscall('mkdirat', name, directory, name, mode);
  } catch (error) {
    if (!isSysError(error, 'EEXIST')) throw error;
  }
}

/**
 * Makes the missing directories of a path below a foreign root, as the root user there: in a file system that a user
 * namespace mounted, an unmapped owner is EOVERFLOW, so the file system ids change for this call (setfsuid(2)).
 */
export function mkdirInRoot(root: number, path: string, mode: number, owner: { uid: number; gid: number }): void {
  const parts = path.split('/');
  parts.forEach((name, depth) => {
    const parent = depth === 0 ? undefined : openInRoot(root, parts.slice(0, depth).join('/'));
    syscall('setfsgid', 'mapped root', owner.gid);
    syscall('setfsuid', 'mapped root', owner.uid);
    try {
      mkdirAt(parent ?? root, name, mode);
    } finally {
      syscall('setfsuid', 'root', 0);
      syscall('setfsgid', 'root', 0);
      if (parent !== undefined) closeSync(parent);
    }
  });
}

let counter = 0;
const temporary = (): string => `.hotseat-${process.pid}-${++counter}`;

/**
 * Makes a character device node in one instant: under a temporary name, owned, permitted, renamed. Watchers see a
 * single IN_MOVED_TO with final rights.
 */
export function makeNode(directory: number, name: string, { major, minor, uid, gid, mode }: NodeOwner): void {
  const draft = temporary();
  // Linux's dev_t as makedev(3) has it.
  const device =
    ((BigInt(major) & 0xfffn) << 8n) |
    (BigInt(minor) & 0xffn) |
    ((BigInt(minor) & ~0xffn) << 12n) |
    ((BigInt(major) & ~0xfffn) << 32n);
  const mask = process.umask(0);
  try {
    syscall('mknodat', name, directory, draft, constants.S_IFCHR | mode, device);
  } finally {
    process.umask(mask);
  }
  try {
    syscall('fchownat', name, directory, draft, uid, gid, noFollow);
    syscall('renameat2', name, directory, draft, directory, name, 0);
  } catch (error) {
    unlinkAt(directory, draft);
    throw error;
  }
}

/** Writes a small file whole or not at all: a new one under a temporary name, renamed. Never through a link. */
export function writeFileAt(directory: number, name: string, text: string, mode: number): void {
  const draft = temporary();
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | closeOnExec;
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(flags), 0);
  how.writeBigUInt64LE(BigInt(mode), 8);
  how.writeBigUInt64LE(resolve.beneath | resolve.noSymlinks, 16);
  const file = syscall('openat2', name, directory, draft, how, 24);
  try {
    fchownSync(file, 0, 0);
    fchmodSync(file, mode);
    writeSync(file, text);
    syscall('renameat2', name, directory, draft, directory, name, 0);
  } catch (error) {
    unlinkAt(directory, draft);
    throw error;
  } finally {
    closeSync(file);
  }
}

/** Removes an entry, whatever it is; a directory with all that is in it. One that is not there is fine. */
export function unlinkAt(directory: number, name: string): void {
  try {
    syscall('unlinkat', name, directory, name, 0);
  } catch (error) {
    if (isSysError(error, 'ENOENT')) return;
    if (!isSysError(error, 'EISDIR', 'EPERM')) throw error;
    const inner = openAt(directory, name);
    try {
      for (const entry of listDirectory(inner)) unlinkAt(inner, entry);
    } finally {
      closeSync(inner);
    }
    syscall('unlinkat', name, directory, name, removeDirectory);
  }
}

/** Names in a directory. Through /proc/self/fd, because readdir has no descriptor form in Node. */
export const listDirectory = (directory: number): string[] => readdirSync(`/proc/self/fd/${directory}/`);

/** What an entry is, not following a link; undefined when it is not there. */
export function statAt(directory: number, name: string): EntryStat | undefined {
  let file: number;
  try {
    // fstat(2) of an O_PATH descriptor: the entry itself, opened without any of its effects.
    file = openat2(directory, name, pathOnly | constants.O_NOFOLLOW, resolve.beneath);
  } catch (error) {
    if (isSysError(error, 'ENOENT')) return undefined;
    throw error;
  }
  try {
    const stat = fstatSync(file, { bigint: true });
    return {
      type: stat.isCharacterDevice()
        ? 'character'
        : stat.isDirectory()
          ? 'directory'
          : stat.isFile()
            ? 'file'
            : stat.isSymbolicLink()
              ? 'link'
              : 'other',
      ...numberOf(stat.rdev),
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      mode: Number(stat.mode),
      size: Number(stat.size),
    };
  } finally {
    closeSync(file);
  }
}
