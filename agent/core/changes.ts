import { type Decider, decideAll } from './decide.js';
import type { Unit } from './device.js';
import { isKind } from './match.js';
import type { Verdict } from './verdict.js';

/** Whose a unit is: the host's, no one's because of a conflict, or that of seats. */
export type Owner = 'host' | 'conflict' | readonly string[];

/** A unit that changes hands. */
export interface Change {
  readonly unit: Unit;
  readonly from: Owner;
  readonly to: Owner;
}

export interface Changes {
  readonly changes: readonly Change[];
  /** Why nobody should do this without meaning it, in words. */
  readonly dangers: readonly string[];
}

/** What another policy would change for the units that are here now. Pure. */
export function changesOf(units: readonly Unit[], before: ReadonlyMap<string, Verdict>, decide: Decider): Changes {
  const after = decideAll(decide, units);
  const compared = units.map((unit): Change => {
    const was = before.get(unit.id);
    return { unit, from: was === undefined ? 'host' : ownerOf(was), to: ownerOf(after.get(unit.id) ?? decide(unit)) };
  });
  const keyboards = compared.filter(({ unit }) => isKind('keyboard', unit.head));
  const dangers = compared
    .filter(({ from, to }) => typeof from !== 'string' && to === 'conflict')
    .map(({ unit, from }) => `${unit.id} is bound to ${ownerText(from)} and would be in conflict`);
  if (keyboards.some(({ from }) => from === 'host') && keyboards.every(({ to }) => to !== 'host')) {
    dangers.push('the host would lose its last keyboard');
  }
  return { changes: compared.filter(({ from, to }) => ownerText(from) !== ownerText(to)), dangers };
}

export function ownerOf(verdict: Verdict): Owner {
  return verdict.kind === 'seat' ? verdict.claims.map(({ seat }) => seat) : verdict.kind;
}

export const ownerText = (owner: Owner): string => (typeof owner === 'string' ? owner : owner.join(' and '));
