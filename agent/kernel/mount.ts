import { syscall } from './libc.js';
import { readUpTo } from './read.js';

const flag = { nosuid: 0x2, noexec: 0x8, private: 1 << 18 }; // mount(2)
const attribute = { readOnly: 0x1n, nosuid: 0x2n, noexec: 0x8n }; // mount_setattr(2)
const emptyPath = 0x1000; // AT_EMPTY_PATH
const noFollow = 0x100; // AT_SYMLINK_NOFOLLOW
const clone = 0x1 | 0o2000000; // OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
const here = -100;

/** One line of mountinfo (proc_pid_mountinfo(5)). */
export interface MountPoint {
  /** `major:minor` of the file system: the same in every mount namespace. */
  readonly device: string;
  /** Which directory of the file system is mounted. */
  readonly root: string;
  readonly target: string;
  /** Whether nothing below can be written to through this mount. */
  readonly readOnly: boolean;
}

/** So many bytes of it are read: a namespace may have 100,000 mounts (/proc/sys/fs/mount-max). */
const longestList = 32 * 1024 * 1024;

/** Mounts of a process, as `mountPointsIn`. */
export const mountPoints = (pid: number | 'self'): MountPoint[] => mountPointsIn(`/proc/${pid}`);

/**
 * Mounts of the process of a directory of /proc, in mount order; none when it is gone. Throws when there are more than anybody
 * needs.
 */
export function mountPointsIn(directory: string): MountPoint[] {
  const text = readUpTo(`${directory}/mountinfo`, longestList) ?? '';
  return text.split('\n').flatMap((line) => {
    const [, , device, root, target, options] = line.split(' ');
    if (device === undefined || root === undefined || target === undefined || options === undefined) return [];
    // Options of the mount, and at the end of the line those of the file system.
    const readOnly = [options, line.slice(line.lastIndexOf(' ') + 1)].some((list) => list.split(',').includes('ro'));
    return [{ device, root: unescapeOctal(root), target: unescapeOctal(target), readOnly }];
  });
}

const unescapeOctal = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_all, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** Mounts a tmpfs of its own, limited, private, able to hold device nodes (no `nodev`). `size` as tmpfs(5) takes it. */
export function mountTmpfs(target: string, limits: { size: string; inodes: number; mode: number }): void {
  const data = `size=${limits.size},nr_inodes=${limits.inodes},mode=${limits.mode.toString(8)}`;
  syscall('mount', target, 'hotseat', target, 'tmpfs', flag.nosuid | flag.noexec, data);
  // Private, so that mounts inside a container never propagate to the host.
  syscall('mount', target, 'none', target, 'none', flag.private, 0);
}

/**
 * Takes the topmost mount of a path away, at once. A process that still has it open keeps it until it closes it
 * (umount(2)).
 */
export const unmount = (target: string): void => {
  syscall('umount2', target, target, 0x2 | 0x8 /* MNT_DETACH | UMOUNT_NOFOLLOW */);
};

/** As `unmount`, of a name in a directory: umount(2) takes no descriptor, so that the caller's thread goes there. */
export function unmountAt(directory: number, name: string): void {
  syscall('fchdir', name, directory);
  unmount(name);
}

/**
 * A detached copy of the mount at a host path, or at a name in a directory (open_tree(2)); close it when it has been moved.
 */
export const openTree = (path: string, directory: number = here): number =>
  syscall('open_tree', path, directory, path, clone | noFollow);

/** Makes a detached mount read-only. Device nodes in it still open for writing: special files are exempt. */
export function setReadOnly(tree: number): void {
  const settings = Buffer.alloc(32);
  settings.writeBigUInt64LE(attribute.readOnly | attribute.nosuid | attribute.noexec, 0);
  syscall('mount_setattr', 'graft', tree, '', emptyPath, settings, 32);
}

/** Attaches a detached mount on a directory or a file, both given as descriptors, in the caller's mount namespace. */
export const moveMount = (tree: number, target: number): void => {
  syscall('move_mount', 'graft', tree, '', target, '', 0x4 | 0x40 /* F_EMPTY_PATH | T_EMPTY_PATH */);
};
