import { closeSync } from 'node:fs';
import { syscall } from './libc.js';
import { unixAddress } from './unix-address.js';

/**
 * Sends one datagram to a unix socket, which Node has no means for: `name` is its path, or `@` and its abstract name.
 * Never waits for the receiver.
 * @throws SysError, with `EAGAIN` when the receiver's queue is full
 */
export function sendUnixDatagram(name: string, text: string): void {
  const to = unixAddress(name);
  const message = Buffer.from(text);
  const socket = syscall('socket', 'unix datagrams', 1, 2 | 0o2000000, 0); // AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC
  try {
    // MSG_DONTWAIT | MSG_NOSIGNAL
    syscall('sendto', name, socket, message, message.length, 0x40 | 0x4000, to, to.length);
  } finally {
    closeSync(socket);
  }
}
