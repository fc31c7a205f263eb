import { address, syscall } from './libc.js';

/**
 * Sends bytes over a connected unix socket, and a descriptor with the first of them (unix(7), SCM_RIGHTS). Never waits.
 * @throws SysError, with `EAGAIN` while the other end does not read
 */
export function sendDescriptor(socket: number, bytes: Buffer, descriptor: number): void {
  sendMessage(socket, bytes, rights(descriptor));
}

/**
 * Sends bytes over a connected unix socket, at once and in the order of the calls. Never waits.
 * @throws SysError, with `EAGAIN` while the other end does not read
 */
export const sendBytes = (socket: number, bytes: Buffer): void => sendMessage(socket, bytes, Buffer.alloc(0));

function rights(descriptor: number): Buffer {
  const control = Buffer.alloc(24); // CMSG_SPACE(sizeof(int))
  control.writeBigUInt64LE(20n, 0);
  control.writeInt32LE(1, 8); // SOL_SOCKET
  control.writeInt32LE(1, 12); // SCM_RIGHTS
  control.writeInt32LE(descriptor, 16);
  return control;
}

function sendMessage(socket: number, bytes: Buffer, control: Buffer): void {
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(address(bytes), 0);
  vector.writeBigUInt64LE(BigInt(bytes.length), 8);
  const message = Buffer.alloc(56); // struct msghdr
  message.writeBigUInt64LE(address(vector), 16);
  message.writeBigUInt64LE(1n, 24);
  if (control.length > 0) {
    message.writeBigUInt64LE(address(control), 32);
    message.writeBigUInt64LE(BigInt(control.length), 40);
  }
  // MSG_DONTWAIT | MSG_NOSIGNAL
  const sent = syscall('sendmsg', 'a message', socket, message, 0x40 | 0x4000);
  if (sent !== bytes.length) throw new Error(`only ${sent} of ${bytes.length} bytes of a message went`);
}
