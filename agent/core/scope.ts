/** What may have changed of a seat: these units, by syspath, or anything. */
export type Scope = 'all' | ReadonlySet<string>;

/** Which seats something may have changed, and what of them. */
export type Touched = ReadonlyMap<string, Scope>;

export const nothing: Scope = new Set();

export function united(a: Scope, b: Scope): Scope {
  if (a === 'all' || b === 'all') return 'all';
  return new Set([...a, ...b]);
}

/** Anything of these seats. */
export const whole = (seats: Iterable<string>): Touched => new Map([...seats].map((seat) => [seat, 'all']));

/** Collects units, seat by seat. */
export class Touches {
  readonly seats = new Map<string, Set<string>>();

  add(seat: string, unit: string): void {
    const units = this.seats.get(seat);
    if (units === undefined) this.seats.set(seat, new Set([unit]));
    else units.add(unit);
  }
}
