import { syscall } from './libc.js';

const socketLevel = 1; // SOL_SOCKET

/**
 * The part of `into` that the kernel fills with an option of a socket (getsockopt(2)); `option`: its number in asm-generic/socket.h.
 * `whose`: the socket in words, for an error. @throws SysError
 */
export function socketOption(fd: number, whose: string, option: number, into: Buffer): Buffer {
  const length = lengthOf(into);
  syscall('getsockopt', whose, fd, socketLevel, option, into, length);
  return into.subarray(0, length.readUInt32LE());
}

/** How much room there is in a buffer, where the kernel then writes how much it has used (socklen_t). */
export function lengthOf(buffer: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(buffer.length);
  return length;
}
