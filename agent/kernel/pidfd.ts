import { closeSync, readFileSync } from 'node:fs';
import { constants as system } from 'node:os';
import { type DeviceNumber, numberText } from '../core/device.js';
import { isSysError, SysError } from './errors.js';
import { syscall, syscallLater } from './libc.js';
import { rdevOf } from './statx.js';

/** A descriptor of a process, or of a single thread (PIDFD_THREAD, 6.9 and newer; pidfd_open(2)). */
export function pidfdOpen(pid: number): number {
  try {
    return syscall('pidfd_open', `pid ${pid}`, pid, 0);
  } catch (error) {
    if (!isSysError(error, 'EINVAL', 'ENOENT')) throw error;
    return syscall('pidfd_open', `thread ${pid}`, pid, 0o200 /* PIDFD_THREAD */);
  }
}

/**
 * The pid of a process in each pid namespace that it is in, ours first; undefined when it has gone. Throws when that cannot be
 * told. `/proc/PID/status` says the same, but all of its groups as well, and somebody can have 65,536 of those: it takes the
 * kernel milliseconds to write that down, for each process.
 */
export function namespacePids(pid: number): number[] | undefined {
  let pidfd: number;
  try {
    pidfd = syscall('pidfd_open', `pid ${pid}`, pid, 0);
  } catch (error) {
    if (isSysError(error, 'ESRCH')) return undefined;
    throw error;
  }
  try {
    // -1 when it has gone by now.
    const pids = pidfdField(pidfd, 'NSpid')?.split(/\s+/).map(Number);
    return pids === undefined || pids.some((one) => !(one > 0)) ? undefined : pids;
  } finally {
    closeSync(pidfd);
  }
}

/** The kernel's facts about a pidfd, 5.5 and newer (fs/pidfs.c, pidfd_show_fdinfo; proc_pid_fdinfo(5)). */
export const pidfdField = (pidfd: number, key: 'Pid' | 'NSpid'): string | undefined =>
  new RegExp(`^${key}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/self/fdinfo/${pidfd}`, 'utf8'))?.[1];

/** A copy of another process's descriptor: the same open file (pidfd_getfd(2)). */
export const pidfdGetfd = (pidfd: number, fd: number): number => syscall('pidfd_getfd', `fd ${fd}`, pidfd, fd, 0);

/** Ioctls that make an open file dead for all its holders: linux/input.h, and linux/hidraw.h of 6.12 and newer. */
const revocations = { EVIOCREVOKE: 0x40044591, HIDIOCREVOKE: 0x4004480d } as const;
export type Revocable = keyof typeof revocations;

/**
 * Makes an open file of a device dead, by the ioctl that such devices have. A file that is dead already is no error.
 */
export function revokeFile(fd: number, by: Revocable): void {
  try {
    syscall('ioctl', by, fd, revocations[by], 0);
  } catch (error) {
    unlessDead(error);
  }
}

/** The same on a thread of Node's pool: any process that has the file open can make the kernel wait. */
export const revokeFileLater = (fd: number, by: Revocable): Promise<void> =>
  syscallLater('ioctl', by, fd, revocations[by], 0).then(() => undefined, unlessDead);

function unlessDead(error: unknown): void {
  if (!isSysError(error, 'ENODEV')) throw error;
}

/**
 * A copy of another process' descriptor, if it is of this device. Throws ESTALE when it is not: a running process can
 * have closed the file that was seen, and opened another file under the same number.
 */
export function pidfdGetDevice(pidfd: number, fd: number, device: DeviceNumber): number {
  const copy = pidfdGetfd(pidfd, fd);
  if (rdevOf(process.pid, copy) === numberText(device)) return copy;
  closeSync(copy);
  throw new SysError('pidfd_getfd', system.errno.ESTALE, `fd ${fd} is no longer of ${numberText(device)}`);
}
