// Figures of many measured times. Pure.

/** Times of one kind, ms; `first` is the very first after a start, where there were several starts the median of theirs. */
export interface Summary {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly first?: number;
}

/** A rank of sorted numbers by the nearest-rank method: the smallest that at least `percent` of them do not exceed. */
export function percentile(sorted: readonly number[], percent: number): number {
  const rank = Math.max(1, Math.ceil((percent / 100) * sorted.length));
  const found = sorted[rank - 1];
  if (found === undefined) throw new Error('no times to take a percentile of');
  return found;
}

export const median = (values: readonly number[]): number => percentile(inOrder(values), 50);

/**
 * `runs`: the times of each run in the order in which they were measured, ms. `isStart`: each run began with a start, so that its
 * first time is told apart, and left out of the percentiles.
 * @throws Error when there is nothing to tell.
 */
export function summary(runs: readonly (readonly number[])[], { isStart = false } = {}): Summary {
  const firsts = runs.flatMap(([first]) => (first === undefined ? [] : [first]));
  const rest = isStart ? runs.flatMap((run) => run.slice(1)) : runs.flat();
  const sorted = inOrder(rest.length > 0 ? rest : firsts);
  return {
    count: sorted.length,
    p50: percentile(sorted, 50),
    p99: percentile(sorted, 99),
    ...(isStart ? { first: median(firsts) } : {}),
  };
}

const inOrder = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b);
