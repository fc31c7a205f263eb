import { type BigIntStats, closeSync, constants, fstatSync } from 'node:fs';
import type { Placeholder } from '../core/step.js';
import { isSysError } from './errors.js';
import { asOwner, type Owner, openEntry, openInRoot, unlinkAt } from './fs.js';
import { syscall } from './libc.js';
import { moveMount, unmountAt } from './mount.js';

/** Runs something in the mount namespace that a root directory belongs to. */
export type Inside = (action: () => void) => void;

/** More mounts of ours than this are never on one file. */
const mostMounts = 16;

/** The result for a node that was mounted by itself. */
export interface NodeBind {
  /** The file that was made for it; undefined when there was a file of somebody else. */
  readonly placeholder: Placeholder | undefined;
  /** In words: a file of somebody else that the mount covers now. */
  readonly covers: string | undefined;
}

/**
 * Mounts a single node, `tree`, on a file below a foreign root. The file is made if nothing is there: empty, without
 * permissions, the root user's there. No link is followed; an earlier mount there is removed first. `former`: the file
 * that was made for this node before.
 */
export function bindNode(
  root: number,
  path: { readonly directory: string; readonly name: string },
  tree: number,
  owner: Owner,
  former: Placeholder | undefined,
  inside: Inside,
): NodeBind {
  const directory = openInRoot(root, path.directory);
  try {
    uncover(directory, path.name, fstatSync(tree, { bigint: true }).dev, inside);
    const made = make(directory, path.name, owner);
    const target = openEntry(directory, path.name);
    try {
      const stat = fstatSync(target, { bigint: true });
      if (!stat.isFile() && !stat.isCharacterDevice()) {
        throw new Error(
          `/${path.directory}/${path.name} of the container is neither a node nor a file: remove it there`,
        );
      }
      inside(() => moveMount(tree, target));
      const ours = made || isSame(stat, former);
      return { placeholder: ours ? placeholderOf(stat) : undefined, covers: ours ? undefined : describe(stat) };
    } finally {
      closeSync(target);
    }
  } finally {
    closeSync(directory);
  }
}

/** Takes such a mount away, `device` being the file system it is of, and the file that was made for it, if it still is that. */
export function unbindNode(
  root: number,
  path: { readonly directory: string; readonly name: string },
  device: bigint,
  placeholder: Placeholder | undefined,
  inside: Inside,
): void {
  const directory = openInRoot(root, path.directory);
  try {
    uncover(directory, path.name, device, inside);
    const stat = statEntry(directory, path.name);
    if (stat?.isFile() === true && stat.size === 0n && isSame(stat, placeholder)) unlinkAt(directory, path.name);
  } finally {
    closeSync(directory);
  }
}

/** Unmounts only our own mount: no mount that a container may have put on top of it or in its place. */
function uncover(directory: number, name: string, device: bigint, inside: Inside): void {
  for (let tries = 0; tries < mostMounts && statEntry(directory, name)?.dev === device; tries++) {
    inside(() => unmountAt(directory, name));
  }
}

function make(directory: number, name: string, owner: Owner): boolean {
  try {
    asOwner(owner, () => syscall('mknodat', name, directory, name, constants.S_IFREG, 0));
    return true;
  } catch (error) {
    if (isSysError(error, 'EEXIST')) return false;
    throw error;
  }
}

function statEntry(directory: number, name: string): BigIntStats | undefined {
  let entry: number;
  try {
    entry = openEntry(directory, name);
  } catch (error) {
    if (isSysError(error, 'ENOENT')) return undefined;
    throw error;
  }
  try {
    return fstatSync(entry, { bigint: true });
  } finally {
    closeSync(entry);
  }
}

const placeholderOf = ({ dev, ino }: BigIntStats): Placeholder => ({ device: String(dev), inode: String(ino) });

const isSame = ({ dev, ino }: BigIntStats, placeholder: Placeholder | undefined): boolean =>
  placeholder !== undefined && placeholder.device === String(dev) && placeholder.inode === String(ino);

/** An empty file is a mount point that somebody made: nothing is lost behind it. */
const describe = (stat: BigIntStats): string | undefined =>
  stat.isCharacterDevice() ? 'a device node' : stat.size > 0n ? `a file of ${stat.size} bytes` : undefined;
