// Where the time of a run went.

import type { Outcome } from './file.js';

export interface LayerTime {
  readonly name: string;
  readonly atOnce: number;
  /** Seconds from the start of its first file to the end of its last. */
  readonly took: number;
}

export interface Labelled {
  /** `layer/file`. */
  readonly name: string;
  readonly outcome: Outcome;
}

const shown = 10;

/** How long each layer took, and the slowest files. */
export function timesText(layers: readonly LayerTime[], files: readonly Labelled[]): string {
  const lines = layers.map(
    ({ name, atOnce, took }) => `${took.toFixed(0).padStart(6)} s  ${name}${atOnce > 1 ? `, ${atOnce} at a time` : ''}`,
  );
  const slowest = files.toSorted((a, b) => b.outcome.seconds - a.outcome.seconds).slice(0, shown);
  const slow = slowest.map(({ name, outcome }) => `${outcome.seconds.toFixed(1).padStart(6)} s  ${name}`);
  return ['\nTime', ...lines, `The ${slow.length} slowest files`, ...slow].join('\n');
}
