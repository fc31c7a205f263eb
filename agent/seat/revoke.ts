import { closeSync } from 'node:fs';
import { basename } from 'node:path';
import type { NodeSpec } from '../core/step.js';
import { freeze, isFrozen, thaw } from '../kernel/cgroup.js';
import { type Holder, holders, pidfdGetfd, pidfdOpen, revokeEvdev } from '../kernel/pidfd.js';

/** What a revocation achieved: how many descriptors were taken back, and why it may not be all of them. */
export interface Revocation {
  readonly revoked: number;
  /** Empty when no process can read the device any more. */
  readonly left: readonly string[];
}

/**
 * Takes back every open descriptor of the given nodes, in the container and on the host alike.
 * The container is frozen meanwhile, so that nothing can be opened, duplicated or passed on between scan and revocation.
 * Only evdev has a revoke ioctl (EVIOCREVOKE, drivers/input/evdev.c); whoever holds another node, or has descriptors
 * in flight on a socket (`scm_fds` in fdinfo), is named in `left`.
 */
export async function revoke(nodes: readonly NodeSpec[], cgroup: string | undefined): Promise<Revocation> {
  const thawAfter = cgroup !== undefined && !isFrozen(cgroup);
  if (thawAfter) await freeze(cgroup, { timeoutMs: 2000 });
  try {
    const left: string[] = [];
    let revoked = 0;
    const scan = holders(nodes.map((node) => node.number));
    for (const holder of scan.holders) {
      const node = nodes.find(
        ({ number }) => number.major === holder.number.major && number.minor === holder.number.minor,
      );
      if (node === undefined) continue;
      if (node.class === 'input' && node.name.startsWith('event')) revoked += takeBack(holder, left);
      else left.push(`${holder.command} (pid ${holder.pid}) holds ${node.class}/${node.name}`);
    }
    for (const process of scan.inFlight) {
      if (cgroup !== undefined && process.cgroup.startsWith(`/${basename(cgroup)}`)) {
        left.push(`${process.command} (pid ${process.pid}) has descriptors in flight on a socket`);
      }
    }
    return { revoked, left };
  } finally {
    if (thawAfter) await thaw(cgroup, { timeoutMs: 2000 });
  }
}

function takeBack(holder: Holder, left: string[]): number {
  let pidfd: number | undefined;
  let copy: number | undefined;
  try {
    pidfd = pidfdOpen(holder.pid);
    copy = pidfdGetfd(pidfd, holder.fd);
    revokeEvdev(copy);
    return 1;
  } catch (error) {
    left.push(`${holder.command} (pid ${holder.pid}): ${(error as Error).message}`);
    return 0;
  } finally {
    if (copy !== undefined) closeSync(copy);
    if (pidfd !== undefined) closeSync(pidfd);
  }
}
