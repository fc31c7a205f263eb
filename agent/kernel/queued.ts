// Descriptors in a unix socket that nobody has received, for kernels that do not tell of all open files (`open-files.ts`).

import { closeSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { isSysError } from './errors.js';
import { syscall } from './libc.js';
import { pidfdGetfd, pidfdOpen } from './pidfd.js';
import { isGone } from './read.js';
import { socketOption } from './socket-option.js';

/** Descriptors in messages of a unix socket that nobody has read (net/unix/af_unix.c, unix_show_fdinfo). */
const queuedOnSocket = /^scm_fds:\s*(\d+)/m;

/** Whether descriptors lie in a socket, or may lie there; undefined when none do. */
export function queueOn(pid: number, fd: number): 'queue' | 'unseen' | undefined {
  try {
    const [, count] = queuedOnSocket.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8')) ?? [];
    // Only a unix socket has such a line.
    if (count === undefined) return undefined;
    if (Number(count) > 0) return 'queue';
    return countsUnaccepted(release()) || !hasUnaccepted(pid, fd) ? undefined : 'queue';
  } catch (error) {
    return isGone(error) || isSysError(error, 'ESRCH', 'EBADF') ? undefined : 'unseen';
  }
}

/** From 6.3 on, the line of a listening socket counts what was sent by those who wait to be accepted (unix_count_nr_fds). */
export function countsUnaccepted(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 3);
}

const acceptsConnections = 30; // SO_ACCEPTCONN (asm-generic/socket.h)
const readable = 1; // POLLIN

/**
 * Whether somebody waits to be accepted at a listening unix socket: it is readable then (poll(2)). They may have sent something
 * already. Throws when that cannot be told.
 */
export function hasUnaccepted(pid: number, fd: number): boolean {
  const open: number[] = [];
  try {
    const pidfd = pidfdOpen(pid);
    open.push(pidfd);
    const copy = pidfdGetfd(pidfd, fd);
    open.push(copy);
    if (socketOption(copy, 'a listening socket', acceptsConnections, Buffer.alloc(4)).readInt32LE() === 0) return false;
    const asked = Buffer.alloc(8); // struct pollfd
    asked.writeInt32LE(copy, 0);
    asked.writeInt16LE(readable, 4);
    const now = Buffer.alloc(16); // struct timespec
    return syscall('ppoll', 'a listening socket', asked, 1, now, 0, 0) > 0;
  } finally {
    for (const one of open) closeSync(one);
  }
}
