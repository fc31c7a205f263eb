import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  opendirSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname } from 'node:path';
import { numberOf } from '../core/device.js';
import { isSysError, SysError } from './errors.js';
import { syscall, syscallUnless } from './libc.js';
import { readAtMost } from './read.js';

const here = -100; // AT_FDCWD
const pathOnly = 0o10000000; // O_PATH
const closeOnExec = 0o2000000; // O_CLOEXEC
const removeDirectory = 0x200; // AT_REMOVEDIR
const noFollow = 0x100; // AT_SYMLINK_NOFOLLOW
const itself = 0x1000; // AT_EMPTY_PATH
const resolve = { noXdev: 0x01n, noMagicLinks: 0x02n, noSymlinks: 0x04n, beneath: 0x08n, inRoot: 0x10n }; // openat2(2)

/** The kind, owner and mode of a directory entry, not following links. Ids are host ids. */
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

/** struct open_how (openat2(2)). */
function openHow(flags: number, how: bigint): Buffer {
  const open = Buffer.alloc(24);
  open.writeBigUInt64LE(BigInt(flags | closeOnExec), 0);
  open.writeBigUInt64LE(how, 16);
  return open;
}

const openat2 = (directory: number, path: string, flags: number, how: bigint): number =>
  syscall('openat2', path, directory, path, openHow(flags, how), 24);

/**
 * Opens a host path, or an entry below a descriptor, following no link on the way (openat2(2)).
 * Without flags: a directory, as a place to work in.
 */
export function openAt(directory: number | undefined, path: string, flags: number = constants.O_DIRECTORY): number {
  const how = resolve.noSymlinks | (directory === undefined ? 0n : resolve.beneath);
  return openat2(directory ?? here, path, flags | constants.O_NOFOLLOW, how);
}

/**
 * A descriptor of a directory below another, found without following a link and without leaving that file system, so
 * that its owner cannot make us wait for a file system of his own. The descriptor is only good for looking.
 */
export const openWithin = (directory: number, path: string): number =>
  openat2(directory, path, pathOnly | constants.O_DIRECTORY, resolve.beneath | resolve.noSymlinks | resolve.noXdev);

/** A descriptor of the root directory of a process, given its directory in /proc. */
export const openRoot = (directory: string): number =>
  openat2(here, `${directory}/root`, pathOnly | constants.O_DIRECTORY, 0n);

/** Opens a directory below a foreign root as that root's own processes would find it, but follows no link at all. */
export const openInRoot = (root: number, path: string): number =>
  openat2(root, path, constants.O_DIRECTORY, resolve.inRoot | resolve.noSymlinks | resolve.noMagicLinks);

/** A descriptor of an entry itself, of any kind. It is only good for looking and for mounting on it. */
export const openEntry = (directory: number, name: string): number =>
  openat2(directory, name, pathOnly | constants.O_NOFOLLOW, resolve.beneath | resolve.noMagicLinks);

/** The same; undefined when it is not there. */
function entryAt(directory: number, name: string): number | undefined {
  const how = openHow(pathOnly | constants.O_NOFOLLOW, resolve.beneath | resolve.noMagicLinks);
  return syscallUnless('ENOENT', 'openat2', name, directory, name, how, 24);
}

/** Makes a directory with exactly this mode, despite the umask. A directory that is there already stays as it is. */
export function mkdirAt(directory: number, name: string, mode: number): void {
  unmasked(() => syscallUnless('EEXIST', 'mkdirat', name, directory, name, mode));
}

/** Host ids of a container's root user. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Makes something as the root user of a container: in a file system that a user namespace mounted, an unmapped owner is
 * EOVERFLOW, so the file system ids change meanwhile (setfsuid(2)).
 */
export function asOwner(owner: Owner, make: () => void): void {
  syscall('setfsgid', 'mapped root', owner.gid);
  syscall('setfsuid', 'mapped root', owner.uid);
  try {
    make();
  } finally {
    syscall('setfsuid', 'root', 0);
    syscall('setfsgid', 'root', 0);
  }
}

/** Makes the missing directories of a path below a foreign root, as the root user there. */
export function mkdirInRoot(root: number, path: string, mode: number, owner: Owner): void {
  const parts = path.split('/');
  parts.forEach((name, depth) => {
    const parent = depth === 0 ? undefined : openInRoot(root, parts.slice(0, depth).join('/'));
    try {
      asOwner(owner, () => mkdirAt(parent ?? root, name, mode));
    } finally {
      if (parent !== undefined) closeSync(parent);
    }
  });
}

/** Runs without the umask. */
function unmasked(make: () => void): void {
  const mask = process.umask(0);
  try {
    make();
  } finally {
    process.umask(mask);
  }
}

let counter = 0;
const temporary = (): string => `.hotseat-${process.pid}-${++counter}`;

/** Gives a draft its name in one instant. A node that stood there, even if its container has moved it, is retired first. */
function putInPlace(directory: number, draft: string, name: string): void {
  retireNode(directory, name);
  syscall('renameat2', name, directory, draft, directory, name, 0);
}

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
  unmasked(() => syscall('mknodat', name, directory, draft, constants.S_IFCHR | mode, device));
  try {
    syscall('fchownat', name, directory, draft, uid, gid, noFollow);
    putInPlace(directory, draft, name);
  } catch (error) {
    unlinkAt(directory, draft);
    throw error;
  }
}

/** Makes a symbolic link in one instant, in the place of any entry of that name. */
export function makeLink(directory: number, name: string, target: string): void {
  const draft = temporary();
  syscall('symlinkat', name, target, directory, draft);
  try {
    putInPlace(directory, draft, name);
  } catch (error) {
    unlinkAt(directory, draft);
    throw error;
  }
}

/** Where a symbolic link leads, unresolved; undefined for anything else. */
export function readLinkAt(directory: number, name: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${directory}/${name}`);
  } catch {
    return undefined;
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
    // Not writeSync: on a full tmpfs write(2) may take a part only and call that a success.
    writeFileSync(file, text);
    putInPlace(directory, draft, name);
  } catch (error) {
    unlinkAt(directory, draft);
    throw error;
  } finally {
    closeSync(file);
  }
}

/** Removes an entry that is no directory. A missing entry is no error. */
export function unlinkAt(directory: number, name: string): void {
  syscallUnless('ENOENT', 'unlinkat', name, directory, name, 0);
}

/**
 * Makes a device node nobody's but root's before it is removed, or another entry takes its name: a process with a descriptor
 * of its path (O_PATH) could open the node again by that descriptor, even when the number belongs to another device by
 * then. Other entries stay as they are.
 */
function retireNode(directory: number, name: string): void {
  withEntry(directory, name, (node) => {
    if (!fstatSync(node).isCharacterDevice()) return;
    syscall('fchownat', name, node, '', 0, 0, itself);
    // fchmod(2) takes no descriptor of a path.
    syscall('fchmodat', name, here, `/proc/self/fd/${node}`, 0);
  });
}

/**
 * Does that to every node below a directory of ours, which others can see for longer than we use it. It goes as deep and as far
 * as `removeAt`, and leaves what the kernel does not let it change.
 */
export function retireBelow(directory: number, depth = deepest, left = removals()): void {
  for (const name of listDirectory(directory)) {
    if (left.entries <= 0) return;
    left.entries -= 1;
    try {
      retireNode(directory, name);
      if (depth > 0 && statAt(directory, name)?.type === 'directory') {
        const inner = openAt(directory, name);
        try {
          retireBelow(inner, depth - 1, left);
        } finally {
          closeSync(inner);
        }
      }
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
    }
  }
}

/** A unix socket in a directory, not following links. Ids are host ids. */
export interface SocketStat {
  readonly inode: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/** Undefined where no socket has the name. */
export function socketAt(directory: number, name: string): SocketStat | undefined {
  return withSocket(directory, name, (file) => {
    const { ino, uid, gid, mode } = fstatSync(file);
    return { inode: String(ino), uid, gid, mode: mode & 0o7777 };
  });
}

/** Sets who may connect to a socket. A missing socket is no error. */
export function permitSocket(directory: number, name: string, owner: Omit<SocketStat, 'inode'>): void {
  withSocket(directory, name, (file) => {
    const own = `/proc/self/fd/${file}`;
    chownSync(own, owner.uid, owner.gid);
    chmodSync(own, owner.mode);
  });
}

const withSocket = <T>(directory: number, name: string, action: (file: number) => T): T | undefined =>
  withEntry(directory, name, (file) => (fstatSync(file).isSocket() ? action(file) : undefined));

/** Does something with an entry itself, opened without any of its effects (fstat(2) of O_PATH); undefined when it is not there. */
function withEntry<T>(directory: number, name: string, action: (file: number) => T): T | undefined {
  const file = entryAt(directory, name);
  if (file === undefined) return undefined;
  try {
    return action(file);
  } finally {
    closeSync(file);
  }
}

/** Moves an entry of a directory of ours to another one, in the place of any entry of that name. */
export function moveTo(path: string, directory: number, name: string): void {
  retireNode(directory, name);
  try {
    syscall('renameat2', name, here, path, directory, name, 0);
  } catch (error) {
    if (!isSysError(error, 'EISDIR', 'ENOTDIR', 'EEXIST', 'ENOTEMPTY')) throw error;
    removeAt(directory, name);
    syscall('renameat2', name, here, path, directory, name, 0);
  }
}

/** Limits of depth and number when entries of others are removed from a directory of ours. */
const deepest = 8;
const mostRemoved = 10_000;

/**
 * Removes an entry of any kind from a directory of ours. A node is retired first. A directory goes with all its contents. With
 * more contents than anybody needs it stays, and this throws. Never use it in a container: the container could put entries of
 * others there.
 */
export function removeAt(directory: number, name: string, left = removals()): void {
  removeTree(directory, name, deepest, left);
}

/** How many entries may still be removed. */
export interface Removals {
  entries: number;
}

/** One count for all that is removed in one go: somebody else waits for the end of it. */
export const removals = (): Removals => ({ entries: mostRemoved });

function removeTree(directory: number, name: string, depth: number, left: Removals): void {
  left.entries -= 1;
  retireNode(directory, name);
  try {
    unlinkAt(directory, name);
  } catch (error) {
    if (!isSysError(error, 'EISDIR')) throw error;
    if (depth > 0 && left.entries > 0) empty(directory, name, depth, left);
    syscall('unlinkat', name, directory, name, removeDirectory);
  }
}

function empty(directory: number, name: string, depth: number, left: Removals): void {
  const inner = openAt(directory, name);
  try {
    for (const entry of listDirectory(inner)) {
      if (left.entries <= 0) return;
      removeTree(inner, entry, depth - 1, left);
    }
  } finally {
    closeSync(inner);
  }
}

/**
 * The text of a plain file below a foreign root, following no link; undefined when there is none. It refuses other
 * kinds of files, and files longer than `limit` bytes: nothing here waits for a reader or a writer.
 */
export function readInRoot(root: number, path: string, limit: number): string | undefined {
  let file: number;
  try {
    const how = resolve.inRoot | resolve.noSymlinks | resolve.noMagicLinks;
    file = openat2(root, path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW, how);
  } catch (error) {
    if (isSysError(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
    throw error;
  }
  try {
    // A size of 0 says nothing: /proc/PID/pagemap is a plain file of that size, and yields 256 GiB.
    const bytes = fstatSync(file).isFile() ? readAtMost(file, limit) : undefined;
    if (bytes === undefined) throw new Error(`/${path} is no plain file of at most ${limit} bytes`);
    return bytes.toString('utf8');
  } finally {
    closeSync(file);
  }
}

/** Names in a directory below a foreign root, following no link, at most `limit` of them; undefined when there is none. */
export function listInRoot(root: number, path: string, limit: number): string[] | undefined {
  let directory: number;
  try {
    directory = openInRoot(root, path);
  } catch (error) {
    if (isSysError(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
    throw error;
  }
  const names: string[] = [];
  const entries = opendirSync(`/proc/self/fd/${directory}/`);
  try {
    for (let entry = entries.readSync(); entry !== null && names.length < limit; entry = entries.readSync()) {
      names.push(entry.name);
    }
    return names;
  } finally {
    entries.closeSync();
    closeSync(directory);
  }
}

/** The kind of entry at a path. systemd masks a unit by a link to /dev/null (systemctl(1)). */
export type Found = 'missing' | 'masked' | 'there';

/** Whether there is anything at a path below a foreign root; a link in its last part is something, and is not followed. */
export function findInRoot(root: number, path: string): Found {
  let directory: number;
  try {
    directory = openInRoot(root, dirname(path));
  } catch (error) {
    if (isSysError(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return 'missing';
    throw error;
  }
  try {
    if (statAt(directory, basename(path)) === undefined) return 'missing';
    return readLinkAt(directory, basename(path)) === '/dev/null' ? 'masked' : 'there';
  } finally {
    closeSync(directory);
  }
}

/** Removes a directory if nothing is in it. */
export function removeEmpty(directory: number, name: string): void {
  try {
    syscall('unlinkat', name, directory, name, removeDirectory);
  } catch (error) {
    if (!isSysError(error, 'ENOTEMPTY', 'ENOENT')) throw error;
  }
}

/** There are no more in a directory of a seat, unless somebody in its container has lifted the limit of its file system. */
const mostNames = 4096;

/** Where a name begins in a struct linux_dirent64, and where the length of the struct is, bytes (getdents(2)). */
const dirent = { name: 19, length: 16 };

/** Names in a directory, not very many of them. Node reads a directory by its path alone, and takes five times as long. */
export function listDirectory(directory: number): string[] {
  const names: string[] = [];
  const entries = Buffer.allocUnsafe(4096);
  syscall('lseek', 'directory', directory, 0, 0);
  for (;;) {
    const length = syscall('getdents64', 'directory', directory, entries, entries.length);
    if (length === 0) return names;
    for (let at = 0; at < length; at += entries.readUInt16LE(at + dirent.length)) {
      const name = entries.toString('utf8', at + dirent.name, entries.indexOf(0, at + dirent.name));
      if (name === '.' || name === '..') continue;
      if (names.length === mostNames) return names;
      names.push(name);
    }
  }
}

/** The kind of an entry, not following a link; undefined when it is not there. */
export const statAt = (directory: number, name: string): EntryStat | undefined =>
  withEntry(directory, name, (file) => {
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
  });
