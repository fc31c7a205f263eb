import { readdirSync, readlinkSync } from 'node:fs';
import { isSysError } from './errors.js';
import { syscall } from './libc.js';
import { lengthOf, socketOption } from './socket-option.js';

/** struct sockaddr_nl (netlink(7)): family, a pad, port, and the groups that the socket is in. */
const addressSize = 12;
const netlink = 16; // AF_NETLINK
const udevd = 2; // the group of programs that listen to udevd (libudev, UDEV_MONITOR_UDEV)

/** The descriptor of this process by which it listens to udevd; undefined when it has none. */
export const udevMonitor = (): number | undefined =>
  readdirSync('/proc/self/fd')
    .map(Number)
    .find((fd) => isSocket(fd) && listensToUdevd(fd));

function isSocket(fd: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
  } catch {
    // The descriptor of the listing itself.
    return false;
  }
}

function listensToUdevd(fd: number): boolean {
  const address = Buffer.alloc(addressSize);
  try {
    syscall('getsockname', 'own socket', fd, address, lengthOf(address));
  } catch (error) {
    if (isSysError(error, 'EINVAL', 'ENOTSOCK', 'EBADF')) return false;
    throw error;
  }
  return address.readUInt16LE(0) === netlink && address.readUInt32LE(8) === udevd;
}

/**
 * How many messages the kernel could not put into a socket (SO_MEMINFO, SK_MEMINFO_DROPS in linux/sock_diag.h). It is asked of
 * that socket alone: everybody can have thousands, and a look at the table of all then takes seconds.
 */
export function dropsOf(fd: number): number {
  const info = socketOption(fd, 'own socket', 55 /* SO_MEMINFO */, Buffer.alloc(9 * 4));
  return info.readUInt32LE(8 * 4);
}
