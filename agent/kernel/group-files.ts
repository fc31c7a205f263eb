// Files of a cgroup, reached by descriptors from the root of the hierarchy on: never by a path that may lead elsewhere by now.

import { closeSync, constants, fstatSync, writeSync } from 'node:fs';
import { isSysError } from './errors.js';
import { openAt } from './fs.js';
import { readAtMost } from './read.js';

/** A group: its path below the root, and the inode of its directory, by which it is no other that has got that path since. */
export interface GroupRef {
  readonly path: string;
  readonly id: bigint;
}

/** Values to write into a group. */
export interface GroupWrite {
  readonly root: string;
  readonly group: GroupRef;
  /** Controllers that are to be on in the groups above it, topmost first; the path of the root is empty. */
  readonly above: readonly string[];
  readonly controllers: readonly string[];
  /** File and text, one write(2) each. Where there is no such file now, it is left out. */
  readonly files: readonly (readonly [string, string])[];
}

/** No file of a group that is read here is longer, bytes. */
const longest = 16 * 1024;

/** The group at a path and the contents of some of its files; undefined when there is no such group. */
export function readGroup(
  root: string,
  path: string,
  files: readonly string[],
): { readonly id: bigint; readonly texts: ReadonlyMap<string, string> } | undefined {
  return inGroup(root, path, (group) => {
    const texts = new Map<string, string>();
    for (const name of files) {
      const text = readFile(group, name);
      if (text !== undefined) texts.set(name, text);
    }
    return { id: idOf(group), texts };
  });
}

/**
 * Writes to the files of a group. May take long: a lower memory.high is reclaimed down to before write(2) returns. So it is
 * for a helper process.
 */
export function writeGroup({ root, group, above, controllers, files }: GroupWrite): void {
  for (const path of above) inGroup(root, path, (directory) => enable(directory, controllers));
  const done = inGroup(root, group.path, (directory) => {
    if (idOf(directory) !== group.id) return false;
    for (const [name, text] of files) writeFile(directory, name, text);
    return true;
  });
  if (done !== true) throw new Error(`the group ${group.path} has gone`);
}

/** Puts controllers on for the children of a group, as far as it has them itself (cgroup.subtree_control, cgroup-v2.rst). */
function enable(directory: number, controllers: readonly string[]): void {
  const words = (name: string): string[] => (readFile(directory, name) ?? '').trim().split(/\s+/);
  const there = words('cgroup.controllers');
  const on = words('cgroup.subtree_control');
  const missing = controllers.filter((name) => there.includes(name) && !on.includes(name));
  // One by one: where the kernel refuses one of several, it refuses all.
  for (const name of missing) writeFile(directory, 'cgroup.subtree_control', `+${name}`);
}

function inGroup<T>(root: string, path: string, action: (directory: number) => T): T | undefined {
  const top = openAt(undefined, root);
  try {
    const directory = path === '' ? top : openAt(top, path);
    try {
      return action(directory);
    } finally {
      if (directory !== top) closeSync(directory);
    }
  } catch (error) {
    if (isSysError(error, 'ENOENT', 'ENODEV')) return undefined;
    throw error;
  } finally {
    closeSync(top);
  }
}

const idOf = (directory: number): bigint => fstatSync(directory, { bigint: true }).ino;

function readFile(directory: number, name: string): string | undefined {
  let file: number;
  try {
    file = openAt(directory, name, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (isSysError(error, 'ENOENT')) return undefined;
    throw error;
  }
  try {
    return readAtMost(file, longest)?.toString();
  } catch {
    // Where the kernel does not count pressure, reading says EOPNOTSUPP; of a group that has just gone, ENODEV.
    return undefined;
  } finally {
    closeSync(file);
  }
}

function writeFile(directory: number, name: string, text: string): void {
  let file: number;
  try {
    // O_NONBLOCK: since Linux 6.16 a limit is set at once then, and the process that goes beyond it reclaims down to
    // it.
    file = openAt(directory, name, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (isSysError(error, 'ENOENT')) return;
    throw error;
  }
  try {
    writeSync(file, text);
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`);
  } finally {
    closeSync(file);
  }
}
