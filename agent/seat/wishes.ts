import type { Accounts, Unknown } from '../core/access.js';
import type { DesiredSeat } from '../core/state.js';
import { Wanted } from '../core/wanted.js';

/** How a seat must have one unit, given the accounts of its container. */
export type Wish = (accounts: Accounts) => DesiredSeat;

/** The wanted state of a seat, worked out again only where something has changed since. */
export class Wishes {
  readonly wanted = new Wanted();
  private readonly all = new Map<string, Wish>();
  /** Units that were not worked out yet. */
  private readonly due = new Set<string>();
  private readonly unknownOf = new Map<string, readonly Unknown[]>();
  private accounts: Accounts | undefined;

  /** Undefined: the seat must not have the unit. */
  set(unit: string, wish: Wish | undefined): void {
    if (wish === undefined) this.all.delete(unit);
    else this.all.set(unit, wish);
    this.due.add(unit);
  }

  setAll(wishes: ReadonlyMap<string, Wish>): void {
    for (const unit of this.all.keys()) if (!wishes.has(unit)) this.set(unit, undefined);
    for (const [unit, wish] of wishes) this.set(unit, wish);
  }

  /** Works out the missing parts, or everything if the accounts have changed; returns whether it was everything. */
  workOut(accounts: Accounts): boolean {
    const areOthers = accounts !== this.accounts;
    if (areOthers) for (const unit of this.all.keys()) this.due.add(unit);
    for (const unit of this.due) {
      const { devices, unknown } = this.all.get(unit)?.(accounts) ?? { devices: [], unknown: [] };
      this.wanted.set(unit, devices);
      if (unknown.length === 0) this.unknownOf.delete(unit);
      else this.unknownOf.set(unit, unknown);
      this.due.delete(unit);
    }
    this.accounts = accounts;
    return areOthers;
  }

  /** Names in the policy that the container does not have. */
  get unknown(): Unknown[] {
    return [...this.unknownOf.values()].flat();
  }
}
