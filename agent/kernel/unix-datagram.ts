import { closeSync } from 'node:fs';
import { syscall } from './libc.js';

/** Longest name of a unix socket, bytes (unix(7), sun_path). */
const longest = 107;

/**
 * Sends one datagram to a unix socket, which Node has no means for: `name` is its path, or `@` and its abstract name.
 * Never waits for the receiver.
 * @throws SysError, with `EAGAIN` when the receiver's queue is full
 */
export function sendUnixDatagram(name: string, text: string): void {
  const path = Buffer.from(name);
  const abstract = name.startsWith('@');
  if ((!abstract && !name.startsWith('/')) || path.length > longest) {
    throw new Error(`${JSON.stringify(name)} is no unix socket: a path or @name of at most ${longest} bytes`);
  }
  const to = Buffer.alloc(2 + path.length + (abstract ? 0 : 1));
  to.writeUInt16LE(1, 0); // AF_UNIX
  path.copy(to, 2);
  if (abstract) to[2] = 0;
  const message = Buffer.from(text);
  const socket = syscall('socket', 'unix datagrams', 1, 2 | 0o2000000, 0); // AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC
  try {
    // MSG_DONTWAIT | MSG_NOSIGNAL
    syscall('sendto', name, socket, message, message.length, 0x40 | 0x4000, to, to.length);
  } finally {
    closeSync(socket);
  }
}
