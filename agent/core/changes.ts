import { type Decider, decideAll } from './decide.js';
import type { Unit } from './device.js';
import { isKind } from './match.js';
import { isSplit, outputOwner } from './outputs.js';
import { plainId } from './plain.js';
import type { SeatPolicy } from './policy.js';
import type { Verdict } from './verdict.js';

/**
 * Whose a unit is: the host's, no one's because of a conflict, or that of seats. An output that no rule names is nobody's, and so is
 * a unit of which an attribute that a rule asks for could not be read.
 */
export type Owner = 'host' | 'conflict' | 'nobody' | readonly string[];

/** A unit, or an output of a card, that changes hands. */
export interface Change {
  readonly unit: Unit;
  readonly output?: string | undefined;
  readonly from: Owner;
  readonly to: Owner;
}

export interface Changes {
  readonly changes: readonly Change[];
  /** Why nobody should do this without meaning it, in words. */
  readonly dangers: readonly string[];
}

/** The changes by another policy for the present units. Pure. */
export function changesOf(units: readonly Unit[], before: ReadonlyMap<string, Verdict>, decide: Decider): Changes {
  const after = decideAll(decide, units);
  const compared = units.flatMap((unit) => compare(unit, before.get(unit.id), after.get(unit.id) ?? decide(unit)));
  const keyboards = compared.filter(({ unit }) => isKind('keyboard', unit.head));
  const dangers = compared
    .filter(({ from, to }) => typeof from !== 'string' && to === 'conflict')
    .map(({ from, ...what }) => `${nameOfChange(what)} is bound to ${ownerText(from)} and would be in conflict`);
  if (keyboards.some(({ from }) => from === 'host') && keyboards.every(({ to }) => to !== 'host')) {
    dangers.push('the host would lose its last keyboard');
  }
  return { changes: compared.filter(({ from, to }) => ownerText(from) !== ownerText(to)), dangers };
}

/** A card of which seats have outputs, before or after, is compared output by output. */
function compare(unit: Unit, was: Verdict | undefined, is: Verdict): Change[] {
  const { connectors = [] } = unit;
  const from = was === undefined ? 'host' : ownerOf(was);
  if (connectors.length === 0 || (!isSplit(was) && !isSplit(is))) return [{ unit, from, to: ownerOf(is) }];
  const owner = (verdict: Verdict | undefined, whole: Owner, output: string) =>
    isSplit(verdict) ? ownerOfOutput(verdict, output) : whole;
  return connectors.map((output) => ({
    ...{ unit, output },
    from: owner(was, from, output),
    to: owner(is, ownerOf(is), output),
  }));
}

/** `/sys/…/drm`, or with one of its outputs `/sys/…/drm DP-1`. */
export const nameOfChange = ({ unit, output }: Pick<Change, 'unit' | 'output'>): string =>
  output === undefined ? unit.id : `${unit.id} ${output}`;

/** Whose an output of a card is that is not given as a whole. */
export function ownerOfOutput(verdict: Verdict | undefined, output: string): Owner {
  const owner = outputOwner(verdict, output);
  return owner.length === 0 ? 'nobody' : owner;
}

export function ownerOf(verdict: Verdict): Owner {
  switch (verdict.kind) {
    case 'seat':
      return verdict.claims.map(({ seat }) => seat);
    case 'unread':
      return 'nobody';
    case 'host':
    case 'conflict':
      return verdict.kind;
  }
}

export const ownerText = (owner: Owner): string => (typeof owner === 'string' ? owner : owner.join(' and '));

/** A node that changes hands, as `hotseat plan` says it. */
export interface PlainChange {
  readonly device: string;
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

/** The nodes that other seat files would give to other seats. Pure. */
export function plainChanges(before: readonly SeatPolicy[], after: readonly SeatPolicy[]): PlainChange[] {
  const names = new Set([...before, ...after].flatMap(({ nodes = [] }) => nodes.map(({ name }) => name)));
  return [...names].sort().flatMap((name) => {
    const [from, to] = [before, after].map((seats) => ownerText(plainOwner(seats, name))) as [string, string];
    return from === to ? [] : [{ device: plainId(name), name, from, to }];
  });
}

function plainOwner(seats: readonly SeatPolicy[], name: string): Owner {
  const owners = seats.flatMap(({ seat, nodes = [] }) => (nodes.some((node) => node.name === name) ? [seat] : []));
  return owners.length === 0 ? 'host' : owners;
}
