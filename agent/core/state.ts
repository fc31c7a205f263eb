import type { JournalEntry, NodeSpec, RecordSpec } from './step.js';

/** One device that a seat shall have: the head of a unit (no node) or one of its nodes. */
export interface DesiredDevice {
  readonly record: RecordSpec;
  /** What the journal keeps of it; `knownTo` is never set here. */
  readonly entry: JournalEntry;
}

/** What a seat shall look like, in announcement order (head first, sound control last). */
export interface DesiredSeat {
  readonly devices: readonly DesiredDevice[];
}

/** What a seat does look like, read from the seat directory, the device map, the container and the journal. */
export interface ActualSeat {
  /** Key of the container (pid and start time), undefined while there is none: nothing can be granted then. */
  readonly container: string | undefined;
  /** The same key once its udev directory is grafted: only then can anybody inside be told anything. */
  readonly audience: string | undefined;
  /** Numbers with a grant in force, as `13:69`. */
  readonly grants: ReadonlySet<string>;
  /** Nodes by `class/name`. */
  readonly nodes: ReadonlyMap<string, NodeSpec>;
  /** Texts of the records by id. */
  readonly records: ReadonlyMap<string, string>;
  readonly journal: ReadonlyMap<string, JournalEntry>;
  /** Whether a device (by syspath) still exists: what is still plugged must be revoked when it leaves a seat. */
  readonly present: (syspath: string) => boolean;
}

export const nodeKey = (node: Pick<NodeSpec, 'class' | 'name'>): string => `${node.class}/${node.name}`;
