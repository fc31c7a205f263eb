import { closeSync, opendirSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';

/**
 * Whether an error of a system call says that its object is not there any more. Any other error says nothing about the
 * object: there may have been no descriptor (`EMFILE`, `ENFILE`) or no memory left.
 */
export const isGone = (error: unknown): boolean =>
  ['ENOENT', 'ESRCH', 'ENODEV', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');

/**
 * Reads a file of procfs or cgroupfs that tells whether something lives; undefined when that has gone. Throws when it
 * cannot be read, which is another answer.
 */
export function readUnlessGone(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** The inode of a path, following links; undefined when there is nothing. */
export const inodeOf = (path: string): bigint | undefined =>
  statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;

/**
 * Reads a file of procfs, sysfs, cgroupfs or udev's database; undefined when its object has gone meanwhile, or it
 * cannot be read. To decide whether something lives, use `readUnlessGone`.
 */
export function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * As `readOptional`, of a file that somebody else can make long. Throws when it has more than `most` bytes; a file of procfs
 * does not tell beforehand.
 */
export function readUpTo(path: string, most: number): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    return allOf(fd, path, most).toString();
  } finally {
    closeSync(fd);
  }
}

/** Whether an error of a system call says that there is no such file. */
export const isNoFile = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '');

/**
 * Reads a file; undefined only when there is none. Throws when it cannot be read, which is another answer, and when it has more
 * than `most` bytes.
 */
export function readIfThere(path: string, most: number, encoding: 'utf8' | 'latin1' = 'utf8'): string | undefined {
  try {
    const fd = openSync(path, 'r');
    try {
      return allOf(fd, path, most).toString(encoding);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (isNoFile(error)) return undefined;
    throw error;
  }
}

function allOf(fd: number, path: string, most: number): Buffer {
  const bytes = readAtMost(fd, most);
  if (bytes === undefined) throw new Error(`${path} is longer than ${most} bytes`);
  return bytes;
}

/** Some files of procfs are read in pieces of eight bytes only (proc_pid_pagemap(5)): a multiple of that. */
const piece = 64 * 1024;

/** The rest of an open file; undefined when that is more than `limit` bytes. */
export function readAtMost(file: number, limit: number): Buffer | undefined {
  const parts: Buffer[] = [];
  const room = Math.min(piece, 8 * Math.ceil((limit + 1) / 8));
  for (let length = 0; length <= limit; ) {
    const buffer = Buffer.allocUnsafe(room);
    const read = readSync(file, buffer);
    if (read === 0) return Buffer.concat(parts);
    length += read;
    parts.push(buffer.subarray(0, read));
  }
  return undefined;
}

/**
 * The whole lines among the first `most` bytes of a file, such as `cgroup.procs`, which others can make long; none when it has
 * gone. Throws when it cannot be read.
 */
export function linesUnlessGone(path: string, most: number): string[] {
  try {
    const file = openSync(path, 'r');
    try {
      return wholeLines(beginningOf(file, most));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

const wholeLines = (text: string): string[] => text.split('\n').slice(0, -1);

/** The first `most` bytes of an open file, or all of it. */
function beginningOf(file: number, most: number): string {
  const buffer = Buffer.allocUnsafe(most);
  let length = 0;
  for (let read = 1; read > 0 && length < most; length += read)
    read = readSync(file, buffer, length, most - length, null);
  return buffer.toString('utf8', 0, length);
}

/** Names in a directory of procfs, sysfs or cgroupfs; none when it has gone meanwhile. */
export function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/**
 * Names of the directories in it, at most `most`: of a cgroup, those of the groups below. None when it has gone meanwhile, or
 * cannot be read.
 */
export function directoriesIn(directory: string, most = Number.POSITIVE_INFINITY): string[] {
  try {
    return directoriesUnlessGone(directory, most);
  } catch {
    return [];
  }
}

/** As `directoriesIn`, but throws when it cannot be read. */
export function directoriesUnlessGone(directory: string, most = Number.POSITIVE_INFINITY): string[] {
  try {
    return most === Number.POSITIVE_INFINITY ? allDirectories(directory) : firstDirectories(directory, most);
  } catch (error) {
    if (!isGone(error)) throw error;
    return [];
  }
}

const allDirectories = (directory: string): string[] =>
  readdirSync(directory, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? entry.name : []));

/** Entry by entry, because somebody else can make any number of them. To read all at once takes a fifth to a half of the time. */
function firstDirectories(directory: string, most: number): string[] {
  const names: string[] = [];
  const entries = opendirSync(directory, { bufferSize: 512 });
  try {
    for (let entry = entries.readSync(); entry !== null && names.length < most; entry = entries.readSync()) {
      if (entry.isDirectory()) names.push(entry.name);
    }
  } finally {
    entries.closeSync();
  }
  return names;
}

/**
 * The target of a link of sysfs; undefined when its object has gone meanwhile. No part of a target is a link itself
 * (fs/sysfs/symlink.c), so that nothing else need be asked.
 */
export function resolvedPath(path: string): string | undefined {
  try {
    return resolve(dirname(path), readlinkSync(path));
  } catch (error) {
    const isNoLink = (error as NodeJS.ErrnoException).code === 'EINVAL';
    return isNoLink ? path : undefined;
  }
}

/** The last part of the target of a link of sysfs, such as a device's `subsystem`; undefined when there is none. */
export function linkName(path: string): string | undefined {
  try {
    return basename(readlinkSync(path));
  } catch {
    return undefined;
  }
}
