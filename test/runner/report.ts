// Where the time of a run went.

import type { Outcome } from './file.js';

export interface LayerTime {
  readonly name: string;
  readonly atOnce: number;
  /** Seconds from the start of its first file to the end of its last. */
  readonly took: number;
}

const shown = 10;

/** How long each layer took, and the slowest files. */
export function timesText(layers: readonly LayerTime[], outcomes: readonly Outcome[]): string {
  const lines = layers.map(
    ({ name, atOnce, took }) => `${took.toFixed(0).padStart(6)} s  ${name}${atOnce > 1 ? `, ${atOnce} at a time` : ''}`,
  );
  const slowest = outcomes.toSorted((a, b) => b.seconds - a.seconds).slice(0, shown);
  const slow = slowest.map(({ file, seconds }) => `${seconds.toFixed(1).padStart(6)} s  ${file.name}`);
  return ['\nTime', ...lines, `The ${slow.length} slowest files`, ...slow].join('\n');
}
