import type { ContainerRef } from '../core/policy.js';
import type { Amounts } from '../core/shares.js';
import type { Container } from '../engines/engine.js';
import { readGroup } from '../kernel/group-files.js';
import { amountFiles, amountsOf } from './amounts.js';
import type { PlacedSeat } from './compare.js';
import { sharePlace } from './place.js';

/**
 * The present amounts of a group, by its path below `root`, the mount point of the cgroup2 hierarchy; nothing where it
 * has gone.
 */
export const amountsAt = (root: string, group: string): Amounts =>
  amountsOf(readGroup(root, group, amountFiles)?.texts ?? new Map());

/** A seat whose container runs: where its shares are set, and their amounts. */
export function placedSeat(root: string, seat: string, reference: ContainerRef, container: Container): PlacedSeat {
  const place = sharePlace(container, root);
  return { seat, container: reference, place, amounts: amountsAt(root, place.group) };
}
