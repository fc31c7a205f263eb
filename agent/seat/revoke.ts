import { closeSync } from 'node:fs';
import type { NodeSpec } from '../core/step.js';
import { isWithin } from '../kernel/cgroup.js';
import { findHolders, type Holder, type Search } from '../kernel/holders.js';
import { pidfdGetDevice, pidfdOpen, revokeFile } from '../kernel/pidfd.js';
import { whileStill } from './standstill.js';

/** What a revocation achieved: how many descriptors were taken back, and why it may not be all of them. */
export interface Revocation {
  readonly revoked: number;
  /** Empty when no process can read the device any more. */
  readonly left: readonly string[];
}

/** From whom something is taken. */
export interface Loser {
  /** Of the container that loses it; undefined when there is none. */
  readonly cgroup: string | undefined;
  /** Of other containers that keep the device: nothing of theirs is taken. */
  readonly keepers: readonly string[];
  /** As in `whileStill`. */
  readonly mark: string;
}

/**
 * Takes back every open descriptor of the given nodes, in the container and on the host alike.
 * The container is frozen meanwhile, so that nothing can be opened, duplicated or passed on between scan and revocation.
 * Only evdev (EVIOCREVOKE, drivers/input/evdev.c) and hidraw (HIDIOCREVOKE, drivers/hid/hidraw.c, 6.12 and newer) have a
 * revoke ioctl; whoever holds another node, or may have descriptors in flight on a socket (`scm_fds` in fdinfo) or in an
 * io_uring, is named in `left`, and so is a container that cannot be frozen.
 */
export async function revoke(nodes: readonly NodeSpec[], loser: Loser): Promise<Revocation> {
  const { cgroup, mark } = loser;
  if (cgroup === undefined) return takeAllBack(nodes, loser);
  return whileStill(cgroup, mark, async (still) => {
    const { revoked, left } = await takeAllBack(nodes, loser);
    return { revoked, left: still ? left : [...left, 'the container cannot be frozen'] };
  });
}

async function takeAllBack(nodes: readonly NodeSpec[], { cgroup, keepers }: Loser): Promise<Revocation> {
  const left: string[] = [];
  let revoked = 0;
  const numbers = nodes.map((node) => node.number);
  const search = await findHolders(numbers);
  for (const holder of withoutKeepers(search.holders, keepers)) {
    const node = nodes.find(
      ({ number }) => number.major === holder.number.major && number.minor === holder.number.minor,
    );
    if (node === undefined) continue;
    const by = revocationOf(node);
    if (by !== undefined) revoked += takeBack(holder, by, left);
    else left.push(`${holder.command} (pid ${holder.pid}) holds ${node.class}/${node.name}`);
  }
  left.push(...doubts(search, cgroup));
  return { revoked, left };
}

/** Those who are in none of these cgroups. */
export const withoutKeepers = (holders: readonly Holder[], keepers: readonly string[]): Holder[] =>
  holders.filter(({ cgroup }) => !keepers.some((keeper) => isWithin(cgroup, keeper)));

/** Why others than those who were found may have a device open, in words. */
export function doubts({ inFlight, unseen }: Search, cgroup: string | undefined): string[] {
  const inside = inFlight.filter((one) => cgroup !== undefined && isWithin(one.cgroup, cgroup));
  return [
    ...inside.map(
      ({ command, pid }) => `${command} (pid ${pid}) may have descriptors in flight, on a socket or in a ring`,
    ),
    ...unseen
      .slice(0, 1)
      .map(({ command, pid }) => `${command} (pid ${pid}) is of somebody with too many descriptors to look at`),
  ];
}

function revocationOf({ class: kind, name }: NodeSpec): 'EVIOCREVOKE' | 'HIDIOCREVOKE' | undefined {
  if (kind === 'hidraw') return 'HIDIOCREVOKE';
  return kind === 'input' && name.startsWith('event') ? 'EVIOCREVOKE' : undefined;
}

function takeBack(holder: Holder, by: 'EVIOCREVOKE' | 'HIDIOCREVOKE', left: string[]): number {
  let pidfd: number | undefined;
  let copy: number | undefined;
  try {
    pidfd = pidfdOpen(holder.pid);
    copy = pidfdGetDevice(pidfd, holder.fd, holder.number);
    revokeFile(copy, by);
    return 1;
  } catch (error) {
    left.push(`${holder.command} (pid ${holder.pid}): ${(error as Error).message}`);
    return 0;
  } finally {
    if (copy !== undefined) closeSync(copy);
    if (pidfd !== undefined) closeSync(pidfd);
  }
}
