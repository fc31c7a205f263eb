import type { Unknown } from './access.js';
import { type Incarnation, liesAlone } from './device.js';
import type { JournalEntry, LinkSpec, NodeSpec, RecordSpec } from './step.js';

/** One device that a seat must have: the head of a unit (no node) or one of its nodes. */
export interface DesiredDevice {
  /** Undefined for a node that Hotseat does not follow in udev: the container is told nothing of it either. */
  readonly record: RecordSpec | undefined;
  /** Its stable names. */
  readonly links: readonly LinkSpec[];
  /** Its entry in the journal; `knownTo` is never set here. */
  readonly entry: JournalEntry;
}

/** The wanted state of a seat, in announcement order (head first, sound control last). */
export interface DesiredSeat {
  readonly devices: readonly DesiredDevice[];
  /** Names in the policy that the container does not have. */
  readonly unknown: readonly Unknown[];
}

/** The state of a seat, read from the seat directory, the device map, the container and the journal. */
export interface ActualSeat {
  /** Key of the container (pid and start time), undefined while there is none: nothing can be granted then. */
  readonly container: string | undefined;
  /** The same key once its udev directory is grafted: only then can anybody inside be told anything. */
  readonly audience: string | undefined;
  /** Granted numbers, as `13:69`, and whether the grant is in force; a void grant still has to be denied. */
  readonly grants: ReadonlyMap<string, boolean>;
  /** Nodes by `class/name`. */
  readonly nodes: ReadonlyMap<string, NodeSpec>;
  /** Links by `class/name`, with the node that they lead to. */
  readonly links: ReadonlyMap<string, LinkSpec>;
  /** Texts of the records by id. */
  readonly records: ReadonlyMap<string, string>;
  readonly journal: ReadonlyMap<string, JournalEntry>;
  /**
   * Names of the nodes that lie in no grafted directory and are shown in the container now, each by a mount of its own.
   * Undefined while nothing can be mounted there.
   */
  readonly shown: ReadonlySet<string> | undefined;
  /** Whether a device is still plugged: then it must be revoked when it leaves a seat. */
  readonly present: (device: Incarnation) => boolean;
  /** Units that cannot leave now, because somebody holds them who cannot be made to let go: graphics cards. */
  readonly blocked: ReadonlySet<string>;
}

export const nodeKey = (node: Pick<NodeSpec, 'class' | 'name'>): string => `${node.class}/${node.name}`;

/** Where a node is found in a container, as on the host. */
export const nodePath = (node: Pick<NodeSpec, 'class' | 'name'>): string =>
  liesAlone(node.class) ? `/dev/${node.name}` : `/dev/${nodeKey(node)}`;
