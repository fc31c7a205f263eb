import { closeSync, constants, openSync, readFileSync } from 'node:fs';

/** Types of file systems that nobody else is asked for (proc_pid_mountinfo(5)): no server, no other PC. */
const types: ReadonlySet<string> = new Set([
  ...['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'f2fs', 'zfs', 'bcachefs', 'jfs', 'vfat', 'exfat', 'ntfs3'],
  ...['tmpfs', 'ramfs', 'overlay', 'squashfs', 'erofs', 'iso9660'],
]);

const O_PATH = 0o10000000; // open(2)

/**
 * Opens a directory by name only, wherever its path leads; throws when it lies in a file system whose server need not answer.
 * That is told by its mount, so that the file system is not asked (`mnt_id` in fdinfo, proc_pid_fdinfo(5)). The way there may
 * hang all the same. The caller closes the descriptor.
 */
export function openLocal(path: string): number {
  const directory = openSync(path, O_PATH | constants.O_DIRECTORY);
  try {
    const mount = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${directory}`, 'utf8'))?.[1];
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
    const line = mounts.find((text) => text.startsWith(`${mount} `)) ?? '';
    const type = / - (\S+) /.exec(line)?.[1] ?? 'unknown';
    if (!types.has(type)) throw new Error(`${path} is in a file system (${type}) that need not answer`);
    return directory;
  } catch (error) {
    closeSync(directory);
    throw error;
  }
}
