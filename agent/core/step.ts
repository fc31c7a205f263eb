import type { DeviceNumber, NodeClass } from './device.js';

/** A device node as it must stand in the seat directory. Owner ids are host ids; mode in octal bits, e.g. 0o660. */
export interface NodeSpec {
  readonly class: NodeClass;
  /** Kernel name below the class directory: `event3`. */
  readonly name: string;
  readonly number: DeviceNumber;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/** The identity of a node, without its access rights. */
export type NodeRef = Pick<NodeSpec, 'class' | 'name' | 'number'>;

/** A stable name of a node, as udev's own rules give it: `by-path/pci-…-event-kbd`, a link to `../event3`. */
export interface LinkSpec {
  readonly class: NodeClass;
  /** Below the class directory, one directory deep. */
  readonly name: string;
  /** Kernel name of the node that it leads to. */
  readonly node: string;
}

/** An entry of the udev database that the container sees. */
export interface RecordSpec {
  /** `c13:69` or `+input:input12`. */
  readonly id: string;
  /** The file's text, every line ended by a newline. */
  readonly text: string;
  readonly tags: readonly string[];
}

/** udev properties of one device, as they are announced. */
export type Properties = Readonly<Record<string, string>>;

/** The empty file in a container that a node was mounted on, as stat(2) tells it from any other: ours to remove. */
export interface Placeholder {
  readonly device: string;
  readonly inode: string;
}

/** Everything a later removal needs, kept on disk because sysfs has forgotten the device by then. */
export interface JournalEntry {
  /** Record id: `c13:69`. Reused by the kernel, so `syspath` and `incarnation` tell two devices with one id apart. */
  readonly id: string;
  readonly syspath: string;
  /** As in `Incarnation`. */
  readonly incarnation?: string | undefined;
  /** Syspath of the unit's head. */
  readonly unit: string;
  readonly node: NodeSpec | undefined;
  /** The devices that the holder opens for the seat's display server; absent where that opens only nodes by itself. */
  readonly served?: NodeRef | undefined;
  /** The holder that was told first, and may have opened it: what another one has opened is not known to it. */
  readonly holder?: string | undefined;
  /** A holder could not take it back once: an open file of it may be somewhere, until the device has left for good. */
  readonly unsure?: boolean | undefined;
  readonly tags: readonly string[];
  readonly properties: Properties;
  /** The rule that gave it, `policies/left.yaml:4`, for status and audit. */
  readonly rule: string;
  readonly hard: boolean;
  /** Key of the container that knows of it: announced there, or found there by a container that started later. */
  readonly knownTo: string | undefined;
  /**
   * It was given to a container that a user runs. He can pass descriptors to any process of his, so that revocation is never
   * known to be complete.
   */
  readonly loose?: boolean | undefined;
  /**
   * Key of the container that was told of it, or may have been: written before the announcement, so that every
   * announced device is taken back, also by an agent that starts after a crash.
   */
  readonly toldTo?: string | undefined;
  /** Hotseat does not follow it in udev: nobody is told of it, and no open file of it can be taken back. */
  readonly silent?: boolean | undefined;
  /** The file that was made in the container for a node in no grafted directory. */
  readonly placeholder?: Placeholder | undefined;
}

/**
 * The actions of an executor, as plain data. Tests compare it, and the audit trail records it. `intend` precedes
 * everything that puts a device into a seat, `forget` follows everything that takes it out: a crash in between leaves
 * the entry, and the next plan finishes the removal.
 */
export type Step =
  | { readonly step: 'intend'; readonly entry: JournalEntry }
  | {
      readonly step: 'grant';
      readonly number: DeviceNumber;
      readonly syspath: string;
      readonly incarnation?: string | undefined;
    }
  /** From now on the display server of the seat may open it. */
  | { readonly step: 'serve'; readonly entry: JournalEntry; readonly served: NodeRef }
  | { readonly step: 'node'; readonly node: NodeSpec }
  /** Shows a node in the container that lies in no grafted directory; `id` is its journal entry. */
  | { readonly step: 'show'; readonly id: string; readonly node: NodeSpec }
  | { readonly step: 'link'; readonly link: LinkSpec }
  | { readonly step: 'record'; readonly record: RecordSpec }
  | { readonly step: 'announce'; readonly action: 'add' | 'change' | 'remove'; readonly entry: JournalEntry }
  /**
   * No display server may open it any more, and open descriptors are dead. `nodes`: the nodes that are still plugged.
   */
  | {
      readonly step: 'withdraw';
      readonly unit: string;
      readonly ids: readonly string[];
      readonly nodes: readonly NodeRef[];
    }
  | { readonly step: 'deny'; readonly number: DeviceNumber }
  | { readonly step: 'hide'; readonly name: string; readonly placeholder: Placeholder | undefined }
  | { readonly step: 'unlink'; readonly class: NodeClass; readonly name: string }
  | { readonly step: 'unrecord'; readonly id: string; readonly tags: readonly string[] }
  | { readonly step: 'revoke'; readonly unit: string; readonly nodes: readonly NodeRef[]; readonly hard: boolean }
  | { readonly step: 'forget'; readonly id: string };

/** Whether a step of a removal only tidies up: a denied and revoked node can lie there and be of no use. */
export const isTidying = ({ step }: Step): boolean => step === 'hide' || step === 'unlink' || step === 'unrecord';

/** The node that a device is to the seat, which may know it by descriptors alone; undefined for a head without one. */
export const nodeOf = ({ node, served }: Pick<JournalEntry, 'node' | 'served'>): NodeRef | undefined => node ?? served;
