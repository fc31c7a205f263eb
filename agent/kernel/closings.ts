import { readdirSync, readlinkSync } from 'node:fs';
import { syscall } from './libc.js';

const closings = 0x8 | 0x10; // IN_CLOSE_WRITE | IN_CLOSE_NOWRITE (inotify(7))
const addToMask = 0x20000000; // IN_MASK_ADD

/**
 * Has the fs.watch watchers of a file also fire when anybody closes it. libuv asks inotify for changes only, and no
 * other event tells of a terminal that is reset: it is opened, changed by ioctl and closed. The watch that libuv made
 * for this path is found in its own inotify instance and widened; libuv then passes on all events that it hears.
 */
export function watchClosings(path: string): void {
  for (const fd of readdirSync('/proc/self/fd')) {
    if (isInotify(fd)) syscall('inotify_add_watch', path, Number(fd), path, closings | addToMask);
  }
}

function isInotify(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:inotify';
  } catch {
    return false;
  }
}
