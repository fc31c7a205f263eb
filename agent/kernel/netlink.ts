import { isSysError } from './errors.js';
import { address, syscall } from './libc.js';

/** Multicasts a datagram to libudev's group (mask 2) with explicit credentials (netlink(7), unix(7), cmsg(3)). */
export function sendUevent(socket: number, datagram: Buffer, credentials: { uid: number; gid: number }): void {
  const to = Buffer.alloc(12);
  to.writeUInt16LE(16, 0); // AF_NETLINK
  to.writeUInt32LE(2, 8); // nl_groups
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(address(datagram), 0);
  vector.writeBigUInt64LE(BigInt(datagram.length), 8);
  const control = Buffer.alloc(32); // CMSG_SPACE(sizeof(struct ucred))
  control.writeBigUInt64LE(28n, 0);
  control.writeInt32LE(1, 8); // SOL_SOCKET
  control.writeInt32LE(2, 12); // SCM_CREDENTIALS
  control.writeInt32LE(process.pid, 16);
  control.writeUInt32LE(credentials.uid, 20);
  control.writeUInt32LE(credentials.gid, 24);
  const message = Buffer.alloc(56); // struct msghdr
  message.writeBigUInt64LE(address(to), 0);
  message.writeUInt32LE(to.length, 8);
  message.writeBigUInt64LE(address(vector), 16);
  message.writeBigUInt64LE(1n, 24);
  message.writeBigUInt64LE(address(control), 32);
  message.writeBigUInt64LE(BigInt(control.length), 40);
  try {
    syscall('sendmsg', 'uevent', socket, message, 0);
  } catch (error) {
    // The copy for the kernel's own end of the socket is refused by kernels without an input handler; libudev expects it.
    if (!isSysError(error, 'ECONNREFUSED')) throw error;
  }
}
