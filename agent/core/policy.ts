import type { SeatSubsystem } from './device.js';

/** Where a rule stands, for people: 1-based line and column; 0 where it is in no file (a loan's). */
export interface Place {
  /** The name of the file. */
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  /** Counted from 1. */
  readonly column: number;
}

/** A place as rules are named in logs and answers: `left.yaml:5`, `hotseat attach`. */
export const lineOf = ({ file, line }: Place): string => (line === 0 ? file : `${file}:${line}`);

/**
 * One condition of a match. All conditions of a rule must hold; `patterns` are alternatives (or). `property` looks at
 * the head's udev properties (`ID_SEAT` means the admin's word: HOTSEAT_ADMIN_SEAT), `attribute` at the head's own and
 * its ancestors' sysfs attributes (ATTRS), `port` at the physical hub or port, `kind` at the kind of device,
 * `subsystem` and `sysname` at the udev fields.
 */
export type Condition = HeadCondition | AttributeCondition;

/** Looks at the head itself. */
export type HeadCondition =
  | { readonly on: 'subsystem' | 'sysname' | 'port'; readonly patterns: readonly string[]; readonly negate: boolean }
  | { readonly on: 'property'; readonly key: string; readonly patterns: readonly string[]; readonly negate: boolean }
  | { readonly on: 'kind'; readonly patterns: readonly Kind[]; readonly negate: boolean };

/** Looks at the head and its ancestors; all of one rule must hold on one and the same of them, as udev's ATTRS do. */
export interface AttributeCondition {
  readonly on: 'attribute';
  readonly key: string;
  readonly patterns: readonly string[];
}

export const kinds = [
  'keyboard',
  'mouse',
  'touchpad',
  'touchscreen',
  'tablet',
  'joystick',
  'accelerometer',
  'switch',
  'keys',
  'jack',
  'sound',
  'microphone',
  'speaker',
  'display',
] as const;
export type Kind = (typeof kinds)[number];

/**
 * How a seat gets event nodes and raw nodes: as nodes that its programs open themselves, as descriptors that the holder opens for
 * its display server and can take back, or both.
 */
export const receipts = ['node', 'descriptor', 'both'] as const;
export type Receipt = (typeof receipts)[number];

export interface Rule {
  readonly label: string;
  readonly place: Place;
  readonly conditions: readonly Condition[];
  /** More than one seat may have the device (speakers). */
  readonly share: boolean;
  /** Other parts of the same physical device come along, unless a rule asks for them by themselves. */
  readonly whole: boolean;
  /** Globs of connector names: of a graphics card that matches the seat gets these outputs, and not the card. */
  readonly connectors?: readonly string[] | undefined;
  /** The render node of the card comes along with its outputs. */
  readonly render?: boolean | undefined;
  /** Who may open its nodes inside, in the container's own names. A missing part is as usual there. */
  readonly access: {
    readonly owner?: string | undefined;
    readonly group?: string | undefined;
    /** Permission bits. */
    readonly mode?: number | undefined;
  };
  /** The raw node of the HID device comes along, if every input of that device is this seat's alone. */
  readonly hidraw: boolean;
  /** How its event nodes and raw nodes come; as nodes when missing. */
  readonly receive?: Receipt | undefined;
  /** Made from a seat's `extra`: the only kind of rule that gets nodes that join seats (`snd/seq`, `snd/timer`). */
  readonly byName: boolean;
  /** `hard`: on a move the driver is always unbound and bound again, also when nothing was found open. */
  readonly revoke: 'auto' | 'hard';
}

/** Engines whose containers can be seats, as seat files name them. */
export const engineNames = ['lxc', 'incus', 'podman', 'docker', 'nspawn'] as const;
export type EngineName = (typeof engineNames)[number];
export const isEngine = (value: unknown): value is EngineName => engineNames.some((name) => name === value);

/** A node that a seat file names and that Hotseat does not follow in udev (agent/core/plain.ts). */
export interface PlainNode {
  /** Its name in `/dev`: `nvidia0`. */
  readonly name: string;
  readonly place: Place;
}

/** Which container a seat is. */
export interface ContainerRef {
  readonly engine: EngineName;
  readonly name: string;
  /** Login name of whose engine runs it, when that is not root's. */
  readonly user?: string | undefined;
}

/** Engines do not share their names, and neither do users: only all of it together is one container. */
export const isSameContainer = (a: ContainerRef, b: ContainerRef): boolean =>
  a.engine === b.engine && a.name === b.name && a.user === b.user;

/**
 * Resources that seats divide: time of the processors and of the disks by weight, memory in bytes, processes by number.
 */
export const resourceNames = ['cpu', 'memory', 'io', 'pids'] as const;
export type Resource = (typeof resourceNames)[number];

/** The amount of a resource in a seat file, and its place. */
export interface Asked {
  readonly value: number;
  readonly place: Place;
}

/** The amounts that a seat file asks for. Everything else is as the host divides it. */
export type Resources = Readonly<Partial<Record<Resource, Asked>>>;

export interface SeatPolicy {
  /** `left`; on the host it is logind's `seat-left`. */
  readonly seat: string;
  readonly container: ContainerRef;
  readonly rules: readonly Rule[];
  /** As in a rule, for devices that are given by hand. */
  readonly receive?: Receipt | undefined;
  readonly resources?: Resources;
  /** Nodes that it shares and that Hotseat does not follow in udev. */
  readonly nodes?: readonly PlainNode[] | undefined;
  readonly file: string;
}

/**
 * Facts by which a device is recognised when it comes back: its subsystem, the path of its port and its serial number,
 * as udev says them. For an input, also facts that tell it from others there: several devices are paired with one
 * receiver or adapter.
 */
export interface Thing {
  readonly subsystem: SeatSubsystem;
  /** ID_PATH, of the port and the interface. */
  readonly path: string;
  /** The same with the bus, where udev says it: of two sockets with one ID_PATH, which one. */
  readonly withBus?: string | undefined;
  /** ID_SERIAL. */
  readonly serial: string;
  /** Where there is no path, for `snd/seq` and `snd/timer`, and of an input that nothing else tells from another. */
  readonly sysname: string | undefined;
  /** Of inputs, where they say so. */
  readonly name: string | undefined;
  readonly uniq: string | undefined;
  readonly phys: string | undefined;
}

/** A device that was given to a seat by hand, against the policy, until it is taken back. */
export interface Loan {
  readonly seat: string;
  readonly thing: Thing;
  /** The other parts of the same physical device, which go with it. */
  readonly parts?: readonly Thing[] | undefined;
  /** The device's name for people, for when it is not plugged. */
  readonly name: string;
  /** When it ends by itself: ms since 1970, by the clock on the wall. */
  readonly until: number | undefined;
  /** Host uid of who did it. */
  readonly by: number;
}

/** All seat files at one revision. */
export interface Policy {
  /** A git commit, or `unversioned`. */
  readonly revision: string;
  readonly seats: readonly SeatPolicy[];
  /** The host's text consoles while a policy with seats is loaded (`host.yaml`). */
  readonly console: 'mute' | 'open';
  /** Devices that were given to seats by hand, which come before every rule; the newest first. */
  readonly loans?: readonly Loan[];
}

/** One thing wrong with a policy; the whole list is reported at once. */
export interface Diagnostic {
  /** Where it is. */
  readonly place: Place;
  /** The fault. */
  readonly message: string;
  /** The remedy. */
  readonly remedy: string;
}
