/** The possible changes of a seat: these units, by syspath, or anything. */
export type Scope = 'all' | ReadonlySet<string>;

/** Which seats something may have changed, and what of them. */
export type Touched = ReadonlyMap<string, Scope>;

export function united(a: Scope, b: Scope): Scope {
  if (a === 'all' || b === 'all') return 'all';
  return new Set([...a, ...b]);
}

/** Anything of these seats. */
export const whole = (seats: Iterable<string>): Touched => new Map([...seats].map((seat) => [seat, 'all']));
