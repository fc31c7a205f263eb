import { isSysError } from './errors.js';
import { syscall } from './libc.js';

/** Who is at the other end of a unix socket, as the kernel noted it when the connection was made (unix(7)). */
export interface Peer {
  readonly uid: number;
  readonly pid: number;
  /** Its own group and its supplementary ones. */
  readonly groups: readonly number[];
}

const level = 1; // SOL_SOCKET
const option = { credentials: 17, groups: 59 } as const; // SO_PEERCRED, SO_PEERGROUPS (asm-generic/socket.h)

/** More groups than a process can have (NGROUPS_MAX, linux/limits.h). */
const mostGroups = 65536;

/**
 * The peer of a connected unix socket. Its groups are those that it had then, too: nothing is looked up by its pid, which
 * may be somebody else's by now.
 * @throws SysError
 */
export function peerOf(fd: number): Peer {
  const credentials = ask(fd, option.credentials, Buffer.alloc(12)); // struct ucred
  const uid = credentials.readUInt32LE(4);
  const gid = credentials.readUInt32LE(8);
  return { uid, pid: credentials.readInt32LE(0), groups: [gid, ...groupsOf(fd)] };
}

function groupsOf(fd: number): number[] {
  let answer: Buffer;
  try {
    answer = ask(fd, option.groups, Buffer.alloc(4 * 64));
  } catch (error) {
    if (!isSysError(error, 'ERANGE')) throw error;
    answer = ask(fd, option.groups, Buffer.alloc(4 * mostGroups));
  }
  return Array.from({ length: answer.length / 4 }, (_, index) => answer.readUInt32LE(index * 4));
}

/** The part of `into` that the kernel has filled. */
function ask(fd: number, name: number, into: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(into.length);
  syscall('getsockopt', 'peer of a unix socket', fd, level, name, into, length);
  return into.subarray(0, length.readUInt32LE());
}
