import { closeSync } from 'node:fs';
import { cgroupOf } from './cgroup.js';
import { isSysError } from './errors.js';
import { pidfdField } from './pidfd.js';
import { socketOption } from './socket-option.js';

/** The process at the other end of a unix socket, as the kernel noted it when the connection was made (unix(7)). */
export interface Peer {
  readonly uid: number;
  readonly pid: number;
  /** Its own group and its supplementary ones. */
  readonly groups: readonly number[];
}

// SO_PEERCRED, SO_PEERGROUPS, SO_PEERPIDFD (asm-generic/socket.h)
const option = { credentials: 17, groups: 59, pidfd: 77 } as const;

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

/**
 * The cgroup of the process that made a connection, absolute path; undefined when it has ended, or cannot be told. It is that very
 * process's where the kernel gives a pidfd of it (6.5 and newer); before that, its pid may be somebody else's by now.
 */
export function peerCgroup(fd: number): string | undefined {
  const pidfd = peerPidfd(fd);
  if (pidfd === 'ended') return undefined;
  if (pidfd === undefined) return cgroupOf(ask(fd, option.credentials, Buffer.alloc(12)).readInt32LE(0));
  try {
    const cgroup = cgroupOf(pidOf(pidfd));
    // After its group was read: a process that is still there had this pid then.
    return pidOf(pidfd) > 0 ? cgroup : undefined;
  } finally {
    closeSync(pidfd);
  }
}

function peerPidfd(fd: number): number | 'ended' | undefined {
  try {
    return ask(fd, option.pidfd, Buffer.alloc(4)).readInt32LE(0);
  } catch (error) {
    if (isSysError(error, 'ENOPROTOOPT')) return undefined;
    if (isSysError(error, 'EINVAL', 'ESRCH', 'ENODATA')) return 'ended';
    throw error;
  }
}

/** -1 once it has ended. */
const pidOf = (pidfd: number): number => Number(pidfdField(pidfd, 'Pid') ?? -1);

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

const ask = (fd: number, name: number, into: Buffer): Buffer => socketOption(fd, 'peer of a unix socket', name, into);
