// Descriptors of others are made dead. The kernel may make us wait for somebody: this is for a helper process.

import { closeSync } from 'node:fs';
import { type DeviceNumber, numberText } from '../core/device.js';
import { isHeld } from './held.js';
import type { Holder, Search } from './holders.js';
import { pidfdGetDevice, pidfdOpen, type Revocable, revokeFile } from './pidfd.js';

/** A node of a device that somebody loses. */
export interface Taken {
  readonly number: DeviceNumber;
  /** The ioctl of its kind; undefined where there is none. */
  readonly by: Revocable | undefined;
}

/** How many descriptors are dead now, and of which processes some are not, in words. */
export interface TakenBack {
  readonly revoked: number;
  readonly left: readonly string[];
}

/** So many descriptors between two signs of life. */
const aSign = 1000;
/** So many processes are named. */
const mostNamed = 20;

/**
 * Makes open files of devices dead. Any process that has the device open can hold this up: the
 * kernel does one request to a device at a time (`evdev->mutex`, drivers/input/evdev.c), and a request ends when its buffer has
 * been read, which may lie in a file of a FUSE mount. `sign` is called now and then, as long as it goes on.
 */
export function takeBack(nodes: readonly Taken[], { holders }: Pick<Search, 'holders'>, sign: () => void): TakenBack {
  const left: string[] = [];
  let revoked = 0;
  for (const [index, holder] of holders.entries()) {
    if (index % aSign === 0) sign();
    const by = nodes.find(({ number }) => numberText(number) === numberText(holder.number))?.by;
    if (by === undefined) continue;
    const why = takeOne(holder, by);
    if (why === undefined) revoked += 1;
    else if (left.length < mostNamed) left.push(`${holder.command} (pid ${holder.pid}): ${why}`);
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
