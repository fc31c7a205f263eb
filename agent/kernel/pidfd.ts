import { readdirSync, readlinkSync, statSync } from 'node:fs';
import { type DeviceNumber, numberOf, numberText } from '../core/device.js';
import { isSysError } from './errors.js';
import { syscall } from './libc.js';
import { readOptional } from './read.js';

/** A descriptor of a device that some process has open. */
export interface Holder {
  readonly pid: number;
  readonly fd: number;
  readonly command: string;
  readonly number: DeviceNumber;
}

/** A process with descriptors queued in an unread message of one of its sockets: they are in nobody's table. */
export interface InFlight {
  readonly pid: number;
  readonly command: string;
  /** Its cgroup below the cgroup2 mount, `/lxc.payload.left/...`. */
  readonly cgroup: string;
}

export const pidfdOpen = (pid: number): number => syscall('pidfd_open', `pid ${pid}`, pid, 0);

/** A copy of another process's descriptor: the same open file (pidfd_getfd(2)). */
export const pidfdGetfd = (pidfd: number, fd: number): number => syscall('pidfd_getfd', `fd ${fd}`, pidfd, fd, 0);

/** Makes an open evdev file dead for whoever holds it (EVIOCREVOKE, linux/input.h). One that is dead already is fine. */
export function revokeEvdev(fd: number): void {
  try {
    syscall('ioctl', 'EVIOCREVOKE', fd, 0x40044591, 0);
  } catch (error) {
    if (!isSysError(error, 'ENODEV')) throw error;
  }
}

/** Everybody on this machine who has one of the devices open, and everybody who may be about to. */
export function holders(numbers: readonly DeviceNumber[]): { holders: Holder[]; inFlight: InFlight[] } {
  const wanted = new Map(numbers.map((number) => [numberText(number), number]));
  const found: Holder[] = [];
  const inFlight: InFlight[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    let queued = false;
    for (const fd of descriptors(pid)) {
      const link = linkOf(pid, fd);
      if (link === undefined) continue;
      if (link.startsWith('socket:')) queued ||= hasQueuedDescriptors(pid, fd);
      else if (link.startsWith('/')) {
        const number = wanted.get(rdevOf(pid, fd));
        if (number !== undefined) found.push({ pid, fd, command: commandOf(pid), number });
      }
    }
    if (queued) inFlight.push({ pid, command: commandOf(pid), cgroup: cgroupOf(pid) });
  }
  return { holders: found, inFlight };
}

function descriptors(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map(Number);
  } catch {
    return [];
  }
}

function linkOf(pid: number, fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return undefined;
  }
}

function rdevOf(pid: number, fd: number): string {
  try {
    const stat = statSync(`/proc/${pid}/fd/${fd}`, { bigint: true });
    if (!stat.isCharacterDevice()) return '';
    return numberText(numberOf(stat.rdev));
  } catch {
    return '';
  }
}

/** `scm_fds:` of a unix socket counts descriptors in messages that nobody has read (net/unix/af_unix.c, unix_show_fdinfo). */
function hasQueuedDescriptors(pid: number, fd: number): boolean {
  const info = readOptional(`/proc/${pid}/fdinfo/${fd}`) ?? '';
  const count = /^scm_fds:\s*(\d+)/m.exec(info)?.[1];
  return count !== undefined && count !== '0';
}

const commandOf = (pid: number): string => (readOptional(`/proc/${pid}/comm`) ?? '').trim();
const cgroupOf = (pid: number): string => /^0::(.*)$/m.exec(readOptional(`/proc/${pid}/cgroup`) ?? '')?.[1] ?? '';
