/** Where a rule stands, for people: 1-based line and column. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/**
 * One condition of a match. All conditions of a rule must hold; `patterns` are alternatives (or).
 * `property` looks at the head's udev properties (`ID_SEAT` means what the admin said: HOTSEAT_ADMIN_SEAT),
 * `attribute` at the head's own and its ancestors' sysfs attributes (ATTRS), `port` at the physical hub or port,
 * `kind` at what the thing is, `subsystem` and `sysname` at the udev fields.
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
  'switch',
  'sound',
  'display',
] as const;
export type Kind = (typeof kinds)[number];

export interface Rule {
  readonly label: string;
  readonly place: Place;
  readonly conditions: readonly Condition[];
  /** More than one seat may have the device (speakers). */
  readonly share: boolean;
  /** `hard`: on a move the driver is always unbound and bound again, whatever was found open. */
  readonly revoke: 'auto' | 'hard';
}

export interface SeatPolicy {
  /** `left`; on the host it is logind's `seat-left`. */
  readonly seat: string;
  readonly container: { readonly engine: 'lxc'; readonly name: string };
  readonly rules: readonly Rule[];
  readonly file: string;
}

/** All seat files at one revision. */
export interface Policy {
  /** A git commit, or `unversioned`. */
  readonly revision: string;
  readonly seats: readonly SeatPolicy[];
  /** What the host does with its text consoles while a policy with seats is loaded (`host.yaml`). */
  readonly console: 'mute' | 'open';
}

/** One thing wrong with a policy; the whole list is reported at once. */
export interface Diagnostic {
  readonly place: Place;
  readonly message: string;
  /** What to do about it. */
  readonly remedy: string;
}
