import { chmodSync, closeSync, lstatSync, rmSync } from 'node:fs';
import { syscall } from './libc.js';
import { unixAddress } from './unix-address.js';

/** How many connections may wait to be accepted; Node's own figure (net.Server.listen). */
const backlog = 511;

/**
 * Makes a unix socket at a path and listens on it; a former socket there goes. Returns its descriptor, which the caller
 * owns. Until it has its `mode`, nobody can connect.
 * @throws SysError
 */
export function listenAt(path: string, mode: number): number {
  rmSync(path, { force: true });
  const address = unixAddress(path);
  const socket = syscall('socket', 'unix streams', 1, 1 | 0o2000000, 0); // AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC
  try {
    syscall('bind', path, socket, address, address.length);
    chmodSync(path, mode);
    syscall('listen', path, socket, backlog);
  } catch (error) {
    closeSync(socket);
    throw error;
  }
  return socket;
}

/** The inode of a socket at a path, which tells it from a later socket at that path; undefined when there is none. */
export const inodeAt = (path: string): string | undefined => lstatSync(path, { throwIfNoEntry: false })?.ino.toString();

/**
 * Another descriptor of the same open file, not inherited (fcntl(2), F_DUPFD_CLOEXEC).
 * @throws SysError
 */
export const duplicate = (fd: number): number => syscall('fcntl', 'a listening socket', fd, 1030, 0);
