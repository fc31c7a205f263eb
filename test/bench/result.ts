// The result of a run of a bench, as it is written to a file.

import type { Summary } from './statistics.js';

/** Whose times a row has. `own` is this tree, `base` the commit of `--base`; a peer is named, `lxc-device`. */
export type Column = 'own' | 'base' | 'floor' | 'peer';

/** One measured thing. */
export interface Row {
  /** The names for `--only`: `unit`, `heard`, `burst`. */
  readonly name: string;
  /** The measured thing, in words. */
  readonly what: string;
  readonly column: Column;
  /** How large the house was; undefined where that does not apply. */
  readonly size?: Size;
  /** Unit of all numbers of this row. */
  readonly unit: 'ms' | 'MB' | '1/s' | '%';
  readonly times: Summary;
  /** Of a peer: `what` of the row of this tree that does the same. */
  readonly beside?: string;
}

/** How much an agent knows while it is measured. */
export interface Size {
  readonly seats: number;
  /** Rules of all seats together. */
  readonly rules: number;
  /** Keyboards that are plugged beside the measured one. */
  readonly plugged: number;
}

/** Why a row is not there. */
export interface Absence {
  readonly name: string;
  readonly what: string;
  readonly reason: string;
}

/** Where it was measured. */
export interface Facts {
  readonly at: string;
  readonly commit: string;
  readonly base?: string;
  readonly machine: string;
  readonly cores: number;
  readonly memoryMB: number;
  readonly load: number;
  /** As nice(1) has it: below 0, others had to wait for what was measured. */
  readonly nice: number;
  readonly kernel: string;
  readonly versions: Readonly<Record<string, string>>;
}

export interface Result {
  readonly bench: 'native' | 'lab';
  readonly facts: Facts;
  readonly rows: readonly Row[];
  readonly absent: readonly Absence[];
}

export const sizeText = ({ seats, rules, plugged }: Size): string =>
  `${seats} ${seats === 1 ? 'seat' : 'seats'}, ${rules} rules, ${plugged} plugged`;
