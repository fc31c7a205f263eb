import { readFileSync } from 'node:fs';
import { syscall } from './libc.js';

const flag = { nosuid: 0x2, noexec: 0x8, private: 1 << 18 }; // mount(2)
const attribute = { readOnly: 0x1n, nosuid: 0x2n, noexec: 0x8n }; // mount_setattr(2)
const emptyPath = 0x1000; // AT_EMPTY_PATH
const clone = 0x1 | 0o2000000; // OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
const here = -100;

/** One line of mountinfo (proc_pid_mountinfo(5)). */
export interface MountPoint {
  /** `major:minor` of the file system: the same in every mount namespace. */
  readonly device: string;
  /** Which directory of the file system is mounted. */
  readonly root: string;
  readonly target: string;
}

/** Mounts of a process, in mount order; none when it is gone. */
export function mountPoints(pid: number | 'self'): MountPoint[] {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/mountinfo`, 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    const [, , device, root, target] = line.split(' ');
    return device === undefined || root === undefined || target === undefined
      ? []
      : [{ device, root: unescapeOctal(root), target: unescapeOctal(target) }];
  });
}

const unescapeOctal = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_all, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** Mounts a tmpfs of its own, limited, private, able to hold device nodes (no `nodev`). `size` as tmpfs(5) takes it. */
export function mountTmpfs(target: string, limits: { size: string; inodes: number; mode: number }): void {
  const data = `size=${limits.size},nr_inodes=${limits.inodes},mode=${limits.mode.toString(8)}`;
  syscall('mount', target, 'hotseat', target, 'tmpfs', flag.nosuid | flag.noexec, data);
  // Private, so that what a container mounts inside never propagates to the host.
  syscall('mount', target, 'none', target, 'none', flag.private, 0);
}

/** A detached copy of the mount at a host path (open_tree(2)); close it when it has been moved. */
export const openTree = (path: string): number => syscall('open_tree', path, here, path, clone);

/** Makes a detached mount read-only. Device nodes in it still open for writing: special files are exempt. */
export function setReadOnly(tree: number): void {
  const settings = Buffer.alloc(32);
  settings.writeBigUInt64LE(attribute.readOnly | attribute.nosuid | attribute.noexec, 0);
  syscall('mount_setattr', 'graft', tree, '', emptyPath, settings, 32);
}

/** Attaches a detached mount on a directory, both given as descriptors, in the caller's mount namespace. */
export const moveMount = (tree: number, target: number): void => {
  syscall('move_mount', 'graft', tree, '', target, '', 0x4 | 0x40 /* F_EMPTY_PATH | T_EMPTY_PATH */);
};
