// Gathers times until they are rows. Pure.

import type { Row } from './result.js';
import { summary } from './statistics.js';

type Key = Omit<Row, 'times' | 'unit'> & { readonly unit?: Row['unit'] };

export class Collector {
  private readonly known = new Map<
    string,
    { readonly key: Key; readonly runs: (readonly number[])[]; isStart: boolean }
  >();

  /** Adds the times of one run. `isStart`: its first was the first after a start. */
  add(key: Key, times: readonly number[], { isStart = false } = {}): void {
    const text = JSON.stringify([key.name, key.what, key.column, key.size]);
    const one = this.known.get(text) ?? { key, runs: [], isStart };
    one.runs.push(times);
    this.known.set(text, one);
  }

  /** In the order in which their first times came. */
  rows(): Row[] {
    return [...this.known.values()].map(({ key, runs, isStart }) => ({
      unit: 'ms',
      ...key,
      times: summary(runs, { isStart }),
    }));
  }
}
