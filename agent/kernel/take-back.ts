// Descriptors of others are made dead. The kernel may make us wait for somebody: this is for a helper process.

import { closeSync } from 'node:fs';
import { isHeld } from './held.js';
import type { Holder } from './holders.js';
import { pidfdGetDevice, pidfdOpen, type Revocable, revokeFile } from './pidfd.js';

/** How many descriptors are dead now, and of which processes some are not, in words. */
export interface TakenBack {
  readonly revoked: number;
  readonly left: readonly string[];
}

/**
 * Makes open files of a device dead, by the ioctl that its nodes have. `at` is told of each process before its
 * turn. Any process that has the device open can hold this up: the kernel does one request to a device at a time (`evdev->mutex`, drivers/input/evdev.c), and a request ends
 * when its buffer has been read, which may lie in a file of a FUSE mount.
 */
export function takeBack(holders: readonly Holder[], by: Revocable, at: (pid: number) => void): TakenBack {
  const left: string[] = [];
  let revoked = 0;
  for (const holder of holders) {
    at(holder.pid);
    const why = takeOne(holder, by);
    if (why === undefined) revoked += 1;
    else left.push(`${holder.command} (pid ${holder.pid}): ${why}`);
  }
  return { revoked, left };
}

function takeOne({ pid, fd, number }: Holder, by: Revocable): string | undefined {
  let pidfd: number | undefined;
  let copy: number | undefined;
  try {
    if (isHeld(pid)) throw new Error('it is in the middle of execve');
    pidfd = pidfdOpen(pid);
    copy = pidfdGetDevice(pidfd, fd, number);
    revokeFile(copy, by);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  } finally {
    if (copy !== undefined) closeSync(copy);
    if (pidfd !== undefined) closeSync(pidfd);
  }
}
