import { type Device, holdersOf, type Unit } from './device.js';
import { literalPart } from './glob.js';
import { lentByDevice } from './loan.js';
import { goesAlong, matches, matchOf, mismatch, property } from './match.js';
import { claimOn, contest } from './outputs.js';
import { areApart, byPhysical } from './physical.js';
import type { Condition, Policy, Rule } from './policy.js';
import { canonicalPort, pathWithBus, portsAbove } from './port.js';
import { type Claim, claimsOf, type Doubt, type TraceLine, type Verdict } from './verdict.js';

/** A policy, ready to judge one unit after the other; `parts`: the other parts of the same physical device. */
export type Decider = (unit: Unit, parts?: readonly Unit[]) => Verdict;

/**
 * Judges by a policy: in each seat the first rule that matches claims the unit. One claim wins; several win together
 * only if every one says `share`, or wants other outputs of a card; otherwise it is a conflict, never a race. A device
 * that was given to a seat by hand is that seat's alone, against the rules. A unit that no rule asks for comes along
 * with other parts of the same physical device, where the rule that takes those says so. Pure.
 *
 * Rules are looked up by what they ask for, so that the time for one unit does not grow with their number. Why the
 * others did not match is worked out when somebody asks for the trace.
 */
export function decider(policy: Policy): Decider {
  const index = new RuleIndex(policy);
  const byDevice = lentByDevice(policy);
  const loans = byDevice.flat();
  const asking = (unit: Unit, doubts: Doubts): Claim[] => {
    const { head, nodes } = unit;
    const found: { readonly seat: number; readonly rules: Rule[] }[] = [];
    for (const { seat, rule } of index.candidates(head)) {
      const last = found.at(-1);
      const isFirst = last?.seat !== seat;
      // Of a seat that takes outputs each rule may name others; of any other the first one is all.
      if (!isFirst && last.rules[0]?.connectors === undefined) continue;
      const match = matchOf(rule, head, nodes);
      if (match === 'no') continue;
      if (match !== 'yes') {
        for (const path of match) doubts.at.add(path);
        doubts.rules.push(rule);
        continue;
      }
      if (isFirst) found.push({ seat, rules: [rule] });
      else last.rules.push(rule);
    }
    return found.flatMap(({ seat, rules }) => claimOn(policy.seats[seat]?.seat ?? '', rules, unit) ?? []);
  };
  const isWhole = policy.seats.some(({ rules }) => rules.some(({ whole }) => whole));
  return (unit, parts = []) => {
    const { head, nodes } = unit;
    const doubts: Doubts = { at: new Set(), rules: [] };
    const direct = asking(unit, doubts);
    const claims = direct.length > 0 || !isWhole ? direct : along(policy, unit, parts, (part) => asking(part, doubts));
    const loan = loans.find(({ rule }) => matchOf(rule, head, nodes) !== 'no');
    const isLent = loan === undefined ? 'no' : matchOf(loan.rule, head, nodes);
    if (typeof isLent !== 'string') for (const path of isLent) doubts.at.add(path);
    let trace: readonly TraceLine[] | undefined;
    const lazy = {
      get trace() {
        trace ??= explain(policy, byDevice, head, nodes);
        return trace;
      },
    };
    if (loan !== undefined && isLent === 'yes') {
      const doubt = doubtOf(doubts, claims);
      const lent = { kind: 'seat', claims: [asRuled(loan, claims, doubts)] } as const;
      return Object.assign(lazy, doubt === undefined ? lent : { ...lent, doubt });
    }
    if (doubts.at.size > 0) return Object.assign(lazy, { kind: 'unread', at: [...doubts.at] } as const);
    if (claims.length === 0) return Object.assign(lazy, { kind: 'host' as const });
    if (claims.every(({ outputs }) => outputs !== undefined)) {
      return Object.assign(lazy, { kind: 'seat', ...contest(claims) } as const);
    }
    const kind = claims.length === 1 || claims.every(({ rule }) => rule.share) ? 'seat' : 'conflict';
    return Object.assign(lazy, { kind, claims } as const);
  };
}

/** Devices of which attributes could not be read yet, and the rules that may match when they have been. */
interface Doubts {
  readonly at: Set<string>;
  readonly rules: Rule[];
}

/** In each seat the first of its rules that takes another part of the same physical device, and this one with it. */
function along(policy: Policy, unit: Unit, parts: readonly Unit[], asking: (part: Unit) => Claim[]): Claim[] {
  const found = new Map<string, Claim>();
  for (const part of parts) {
    if (areApart(part, unit)) continue;
    for (const { seat, rule } of asking(part)) {
      if (!goesAlong(rule, unit.head, unit.nodes)) continue;
      const known = found.get(seat);
      if (known === undefined || isBefore(rule, known.rule)) found.set(seat, { seat, rule, along: part.id });
    }
  }
  return policy.seats.flatMap(({ seat }) => found.get(seat) ?? []);
}

const isBefore = ({ place: a }: Rule, { place: b }: Rule): boolean =>
  a.line < b.line || (a.line === b.line && a.column < b.column);

/** Judges all of these, each with the others that are the same physical device. */
export function decideAll(decide: Decider, units: readonly Unit[]): Map<string, Verdict> {
  const verdicts = new Map<string, Verdict>();
  for (const parts of byPhysical(units).values()) {
    for (const unit of parts) {
      const others = parts.length < 2 ? [] : parts.filter(({ id }) => id !== unit.id);
      verdicts.set(unit.id, decide(unit, others));
    }
  }
  return verdicts;
}

/**
 * What policy says of a device wherever it is counts for whom it was lent to as well: that it is taken back the hard way,
 * and that its raw node comes along. Of a rule of which it is not known whether it matches, the strict part counts.
 */
const asRuled = (loan: Claim, claims: readonly Claim[], { rules }: Doubts): Claim => ({
  ...loan,
  rule: {
    ...loan.rule,
    revoke: [...claims.map(({ rule }) => rule), ...rules].some(isHard) ? 'hard' : loan.rule.revoke,
    hidraw: claims.some(({ rule }) => rule.hidraw),
  },
});

/** The part of it that attributes may change that are not read yet; undefined when they cannot. */
function doubtOf({ at, rules }: Doubts, claims: readonly Claim[]): Doubt | undefined {
  const hidraw = rules.some((rule) => rule.hidraw) && !claims.some(({ rule }) => rule.hidraw);
  const isHardAnyway = claims.some(({ rule }) => isHard(rule));
  return hidraw || (rules.some(isHard) && !isHardAnyway) ? { at: [...at], hidraw } : undefined;
}

const isHard = ({ revoke }: Rule): boolean => revoke === 'hard';

/** Every loan, then every rule, seat by seat, with what failed. */
const explain = (
  policy: Policy,
  loans: readonly (readonly Claim[])[],
  head: Device,
  nodes: Unit['nodes'],
): TraceLine[] =>
  [
    // Of a device with several parts, the part that this is.
    ...loans.flatMap((parts) => parts.find(({ rule }) => matches(rule, head, nodes)) ?? parts[0] ?? []),
    ...policy.seats.flatMap(({ seat, rules }) => rules.map((rule) => ({ seat, rule }))),
  ].map((claim) => ({
    ...claim,
    failed: mismatch(claim.rule, head, nodes),
  }));

interface Entry {
  /** Seat by seat, rule by rule: the order in which rules are tried. */
  readonly order: number;
  readonly seat: number;
  readonly rule: Rule;
}

type Shelf = Map<string, Entry[]>;

/** Finds the few rules that can match a head at all; whether they do is for `matches` to say. */
class RuleIndex {
  private readonly ports: Shelf = new Map();
  private readonly properties = new Map<string, { exact: Shelf; prefixes: Map<number, Shelf> }>();
  private readonly attributes = new Map<string, Shelf>();
  /** Rules that ask for nothing one could look up: a kind, a subsystem, `*something`, `not`. */
  private readonly rest: Entry[] = [];

  constructor(policy: Policy) {
    let order = 0;
    for (const [seat, { rules }] of policy.seats.entries()) {
      for (const rule of rules) this.add({ order: order++, seat, rule });
    }
  }

  candidates(head: Device): Entry[] {
    const found = [...this.rest];
    const take = (shelf: Shelf | undefined, key: string) => {
      const entries = shelf?.get(key);
      if (entries !== undefined) found.push(...entries);
    };
    if (this.ports.size > 0) {
      const paths = new Set([property(head, 'ID_PATH'), canonicalPort(property(head, pathWithBus))]);
      for (const path of paths) for (const port of portsAbove(path)) take(this.ports, port);
    }
    for (const [key, { exact, prefixes }] of this.properties) {
      const value = key === sysname ? head.sysname : property(head, key);
      take(exact, value);
      for (const [length, shelf] of prefixes) if (value.length >= length) take(shelf, value.slice(0, length));
    }
    if (this.attributes.size > 0) {
      const holders = holdersOf(head).map(({ attributes, unread = [] }) => ({ attributes, unread }));
      for (const [key, shelf] of this.attributes) {
        const isUnread = holders.some(({ unread }) => unread.includes(key));
        if (isUnread) found.push(...[...shelf.values()].flat());
        else
          for (const { attributes } of holders) if (Object.hasOwn(attributes, key)) take(shelf, attributes[key] ?? '');
      }
    }
    return found.length > 1 ? found.sort((a, b) => a.order - b.order) : found;
  }

  private add(entry: Entry): void {
    const { conditions } = entry.rule;
    // The cheapest lookups first: attributes have to be read from sysfs.
    const best =
      conditions.find((condition) => condition.on === 'port' && !condition.negate) ??
      conditions.find((condition) => keyed(condition) && condition.patterns.every((text) => literalPart(text).exact)) ??
      conditions.find(
        (condition) => keyed(condition) && condition.patterns.every((text) => literalPart(text).prefix !== ''),
      ) ??
      conditions.find(
        (condition) => condition.on === 'attribute' && condition.patterns.every((text) => literalPart(text).exact),
      );
    switch (best?.on) {
      case 'port':
        for (const port of best.patterns) put(this.ports, canonicalPort(port), entry);
        break;
      case 'attribute':
        for (const value of best.patterns) put(of(this.attributes, best.key, newShelf), value, entry);
        break;
      case 'property':
      case 'sysname': {
        const key = best.on === 'property' ? best.key : sysname;
        const { exact, prefixes } = of(this.properties, key, () => ({ exact: newShelf(), prefixes: new Map() }));
        for (const text of best.patterns) {
          const literal = literalPart(text);
          put(literal.exact ? exact : of(prefixes, literal.prefix.length, newShelf), literal.prefix, entry);
        }
        break;
      }
      default:
        this.rest.push(entry);
    }
  }
}

/** Stands for the kernel name among properties; no property has such a name. */
const sysname = '';

const keyed = (condition: Condition): boolean =>
  (condition.on === 'property' || condition.on === 'sysname') && !condition.negate;

const newShelf = (): Shelf => new Map();

function of<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

const put = (shelf: Shelf, key: string, entry: Entry): void => void of(shelf, key, (): Entry[] => []).push(entry);

/** The seat that logind on the host must see; undefined for devices that stay the host's own. */
export function hostSeat(verdict: Verdict): string | undefined {
  if (verdict.kind === 'host') return undefined;
  const [claim, ...others] = claimsOf(verdict);
  return claim === undefined || others.length > 0 ? sharedSeat : `seat-${claim.seat}`;
}

/** Shared, conflicting and withheld devices are put here on the host, so that seat0 never takes them. */
export const sharedSeat = 'seat-hotseat';
