import { closeSync, constants, readdirSync, readlinkSync } from 'node:fs';
import { constants as system } from 'node:os';
import { type DeviceNumber, numberText } from '../core/device.js';
import { cgroupOf } from './cgroup.js';
import { isSysError, SysError } from './errors.js';
import { syscall } from './libc.js';
import { namesIn, readOptional } from './read.js';

/** A descriptor of a device that some process has open. */
export interface Holder {
  /** The process; or the one thread of it that keeps descriptors of its own. */
  readonly pid: number;
  readonly fd: number;
  readonly command: string;
  readonly number: DeviceNumber;
}

/**
 * A process that may have open files which are in nobody's table of descriptors: queued in an unread message of one of
 * its sockets, or held by an io_uring.
 */
export interface InFlight {
  readonly pid: number;
  readonly command: string;
  /** Its cgroup, absolute path; empty when it is in none. */
  readonly cgroup: string;
}

/** A descriptor of a process, or of a single thread (PIDFD_THREAD, 6.9 and newer; pidfd_open(2)). */
export function pidfdOpen(pid: number): number {
  try {
    return syscall('pidfd_open', `pid ${pid}`, pid, 0);
  } catch (error) {
    if (!isSysError(error, 'EINVAL', 'ENOENT')) throw error;
    return syscall('pidfd_open', `thread ${pid}`, pid, 0o200 /* PIDFD_THREAD */);
  }
}

/** A copy of another process's descriptor: the same open file (pidfd_getfd(2)). */
export const pidfdGetfd = (pidfd: number, fd: number): number => syscall('pidfd_getfd', `fd ${fd}`, pidfd, fd, 0);

/** Ioctls that make an open file dead for whoever holds it: linux/input.h, and linux/hidraw.h of 6.12 and newer. */
const revocations = { EVIOCREVOKE: 0x40044591, HIDIOCREVOKE: 0x4004480d } as const;

/** Makes an open file of a device dead, by the ioctl that such devices have. One that is dead already is fine. */
export function revokeFile(fd: number, by: keyof typeof revocations): void {
  try {
    syscall('ioctl', by, fd, revocations[by], 0);
  } catch (error) {
    if (!isSysError(error, 'ENODEV')) throw error;
  }
}

/** Everybody on this machine who has one of the devices open, and everybody who may be about to. */
export function holders(numbers: readonly DeviceNumber[]): { holders: Holder[]; inFlight: InFlight[] } {
  const wanted = new Map(numbers.map((number) => [numberText(number), number]));
  const found: Holder[] = [];
  const inFlight: InFlight[] = [];
  for (const pid of tables()) {
    let queued = false;
    for (const fd of descriptors(pid)) {
      const link = linkOf(pid, fd);
      if (link === undefined) continue;
      if (link.startsWith('socket:')) queued ||= hasQueued(pid, fd);
      // A request under way holds its file as well as a registration does, and is shown nowhere (io_uring/fdinfo.c).
      else if (link === 'anon_inode:[io_uring]') queued = true;
      else if (link.startsWith('/')) {
        const number = wanted.get(rdevOf(pid, fd));
        if (number !== undefined && !isNameOnly(pid, fd)) found.push({ pid, fd, command: commandOf(pid), number });
      }
    }
    if (queued) inFlight.push({ pid, command: commandOf(pid), cgroup: cgroupOf(pid) ?? '' });
  }
  return { holders: found, inFlight };
}

const descriptors = (pid: number): number[] => namesIn(`/proc/${pid}/fd`).map(Number);

function linkOf(pid: number, fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return undefined;
  }
}

/**
 * Which device a descriptor is of. Never by plain stat: a file of a FUSE mount would be asked of its server, which may
 * be frozen with the container that we look into, and we would wait for it for ever (AT_STATX_DONT_SYNC, statx(2)).
 */
function rdevOf(pid: number, fd: number): string {
  const found = Buffer.alloc(256);
  const path = `/proc/${pid}/fd/${fd}`;
  try {
    syscall('statx', path, -100, path, 0x4000 /* AT_STATX_DONT_SYNC */, 0, found);
  } catch {
    return '';
  }
  const isCharacterDevice = (found.readUInt16LE(28) & constants.S_IFMT) === constants.S_IFCHR;
  return isCharacterDevice ? numberText({ major: found.readUInt32LE(128), minor: found.readUInt32LE(132) }) : '';
}

/**
 * A copy of another process' descriptor, if it is one of this device. Throws ESTALE when it is not: a process that runs
 * on can have closed what was seen, and opened something else under the same number.
 */
export function pidfdGetDevice(pidfd: number, fd: number, device: DeviceNumber): number {
  const copy = pidfdGetfd(pidfd, fd);
  if (rdevOf(process.pid, copy) === numberText(device)) return copy;
  closeSync(copy);
  throw new SysError('pidfd_getfd', system.errno.ESTALE, `fd ${fd} is no longer of ${numberText(device)}`);
}

/** O_PATH (open(2)): nothing is read by such a descriptor, and whoever opens anew by it is asked for a grant. */
const isNameOnly = (pid: number, fd: number): boolean =>
  (Number.parseInt(/^flags:\s*(\d+)/m.exec(readOptional(`/proc/${pid}/fdinfo/${fd}`) ?? '')?.[1] ?? '0', 8) &
    0o10000000) !==
  0;

/** Descriptors in messages of a unix socket that nobody has read (net/unix/af_unix.c, unix_show_fdinfo). */
const queuedOnSocket = /^scm_fds:\s*(\d+)/m;

const hasQueued = (pid: number, fd: number): boolean =>
  Number(queuedOnSocket.exec(readOptional(`/proc/${pid}/fdinfo/${fd}`) ?? '')?.[1] ?? 0) > 0;

/** Every table of descriptors on this machine but our own: one a process, and one for each thread that left it. */
function* tables(): Iterable<number> {
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    yield pid;
    for (const thread of threadsOf(pid)) if (thread !== pid && !sharesTable(pid, thread)) yield thread;
  }
}

const threadsOf = (pid: number): number[] => namesIn(`/proc/${pid}/task`).map(Number);

/** unshare(CLONE_FILES) gives a thread descriptors that the process's own /proc/pid/fd does not show (kcmp(2), KCMP_FILES). */
function sharesTable(pid: number, thread: number): boolean {
  try {
    return syscall('kcmp', `threads of ${pid}`, pid, thread, 2, 0, 0) === 0;
  } catch {
    return false;
  }
}

const commandOf = (pid: number): string => (readOptional(`/proc/${pid}/comm`) ?? '').trim();
