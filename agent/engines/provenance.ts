// Which users may name which container.

import { statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { cgroupsBelow } from '../kernel/cgroup.js';

/** A user's systemd: the groups below it are his to make (user@.service has Delegate=yes). */
const manager = /^user@(\d+)\.service$/;

/**
 * Whether a container's group can only have been made by root or, below a user's systemd, by that user: every group above
 * it belongs to them. The group itself may belong to the container's own root.
 */
export function isVouchedFor(cgroupRoot: string, cgroup: string): boolean {
  let trusted = 0;
  for (const group of cgroupsBelow(cgroupRoot, dirname(cgroup))) {
    trusted = Number(manager.exec(basename(group))?.[1] ?? trusted);
    const owner = statSync(group, { throwIfNoEntry: false })?.uid;
    if (owner !== 0 && owner !== trusted) return false;
  }
  return true;
}
