import { address, syscall } from './libc.js';

/** Data beside the bytes of a message (sendmsg(2)). */
export interface Along {
  /** The address that it goes to, where the socket is connected to none. */
  readonly to?: Buffer;
  /** From `controlMessage`. */
  readonly control?: Buffer;
  readonly flags?: number;
}

/** Sends bytes over a socket in one message; how many went. `what`: the message in words, for an error. @throws SysError */
export function sendMessage(socket: number, what: string, bytes: Buffer, { to, control, flags = 0 }: Along): number {
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(address(bytes), 0);
  vector.writeBigUInt64LE(BigInt(bytes.length), 8);
  const message = Buffer.alloc(56); // struct msghdr
  if (to !== undefined) {
    message.writeBigUInt64LE(address(to), 0);
    message.writeUInt32LE(to.length, 8);
  }
  message.writeBigUInt64LE(address(vector), 16);
  message.writeBigUInt64LE(1n, 24);
  if (control !== undefined) {
    message.writeBigUInt64LE(address(control), 32);
    message.writeBigUInt64LE(BigInt(control.length), 40);
  }
  return syscall('sendmsg', what, socket, message, flags);
}

/** A control message of level SOL_SOCKET, padded as the kernel wants it (cmsg(3)). */
export function controlMessage(type: number, data: Buffer): Buffer {
  const header = 16;
  const control = Buffer.alloc(header + Math.ceil(data.length / 8) * 8);
  control.writeBigUInt64LE(BigInt(header + data.length), 0);
  control.writeInt32LE(1, 8); // SOL_SOCKET
  control.writeInt32LE(type, 12);
  data.copy(control, header);
  return control;
}
