import type { Amounts } from '../core/shares.js';
import type { SharePlace } from './place.js';

/** The former values of a place, on record from before our first write until the place has them again. */
export interface Former {
  /** An Incus instance keeps its own record. */
  readonly place: Exclude<SharePlace, { readonly kind: 'incus' }>;
  /** Inode of the group, by which another group of this path is no concern of ours; as text, because JSON has no such number. */
  readonly id: string;
  readonly amounts: Amounts;
  /** Files of an administrator's own `systemctl set-property --runtime`. */
  readonly kept: readonly string[];
}

/** Whether a value read from the record, which is root's, is one. */
export const isFormer = (value: unknown): value is Former =>
  typeof value === 'object' &&
  value !== null &&
  'id' in value &&
  'amounts' in value &&
  'kept' in value &&
  'place' in value &&
  typeof value.place === 'object';

/** Whether a value read from the record of `oom_score_adj` is one (proc_pid_oom_score_adj(5)). */
export const isScore = (value: unknown): value is number =>
  Number.isInteger(value) && Math.abs(value as number) <= 1000;
