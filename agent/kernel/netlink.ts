import { isSysError, SysError } from './errors.js';
import { syscall } from './libc.js';
import { controlMessage, sendMessage } from './message.js';

/** Who a message says that it is from, as host ids. */
interface Credentials {
  readonly uid: number;
  readonly gid: number;
}

/**
 * A netlink socket whose multicasts nobody hears: of the protocol that the kernel leaves to programs, in which only root could
 * listen (netlink(7), NETLINK_USERSOCK). The caller closes it.
 */
export const openUnheardSocket = (): number =>
  syscall('socket', 'netlink', 16, 3 | 0o2000000 /* SOCK_RAW | SOCK_CLOEXEC */, 2);

/** Multicasts a datagram to libudev's group (mask 2) with explicit credentials. */
export function sendUevent(socket: number, datagram: Buffer, credentials: Credentials): void {
  try {
    send(socket, datagram, 2, credentials);
  } catch (error) {
    // The copy for the kernel's own end of the socket is refused by kernels without an input handler; libudev expects it.
    if (!isSysError(error, 'ECONNREFUSED')) throw error;
  }
}

/**
 * Has the kernel say a uevent of its own format in the network namespace of a socket, and there alone, as it says its
 * own: to group 1, with a sequence number, from nobody. It needs CAP_SYS_ADMIN over that namespace, and the credentials
 * stay with the message (lib/kobject_uevent.c, uevent_net_rcv_skb).
 * @throws SysError with the kernel's reason
 */
export function injectUevent(socket: number, payload: Buffer, credentials: Credentials): void {
  const header = Buffer.alloc(16); // struct nlmsghdr
  header.writeUInt32LE(header.length + payload.length, 0);
  header.writeUInt16LE(16, 4); // NLMSG_MIN_TYPE: any message that is no control message
  header.writeUInt16LE(0x1 | 0x4, 6); // NLM_F_REQUEST | NLM_F_ACK
  send(socket, Buffer.concat([header, payload]), 0, credentials);
  // The kernel has dealt with it when it takes it; its answer is waiting.
  const answer = Buffer.alloc(256);
  const length = syscall('recvfrom', 'uevent', socket, answer, answer.length, 0x40 /* MSG_DONTWAIT */, 0, 0);
  const errno = length < 20 || answer.readUInt16LE(4) !== 2 /* NLMSG_ERROR */ ? 0 : -answer.readInt32LE(16);
  if (errno !== 0) throw new SysError('sendmsg', errno, 'kernel uevent');
}

/** Sends to groups by mask, or with none to the kernel alone (netlink(7), unix(7), cmsg(3)). */
function send(socket: number, datagram: Buffer, groups: number, credentials: Credentials): void {
  const to = Buffer.alloc(12);
  to.writeUInt16LE(16, 0); // AF_NETLINK
  to.writeUInt32LE(groups, 8); // nl_groups
  const from = Buffer.alloc(12); // struct ucred
  from.writeInt32LE(process.pid, 0);
  from.writeUInt32LE(credentials.uid, 4);
  from.writeUInt32LE(credentials.gid, 8);
  sendMessage(socket, 'uevent', datagram, { to, control: controlMessage(2 /* SCM_CREDENTIALS */, from) });
}
