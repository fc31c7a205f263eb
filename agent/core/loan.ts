import { isJoint, type SeatSubsystem, type Unit } from './device.js';
import { property } from './match.js';
import type { Condition, Loan, Policy, Rule, SeatPolicy, Thing } from './policy.js';
import { pathWithBus } from './port.js';
import type { Claim } from './verdict.js';

/** Stands for the file that a rule of a loan is not in. */
const file = 'hotseat attach';

/** Whether a rule is that of a loan. */
export const isLoan = (rule: Rule): boolean => rule.place.line === 0;

export function thingOf({ subsystem, head }: Unit): Thing {
  const path = property(head, 'ID_PATH');
  const said = (key: Told): string | undefined => {
    const text = subsystem === 'input' ? head.attributes[key]?.trimEnd() : undefined;
    return text === '' ? undefined : text;
  };
  return {
    subsystem,
    path,
    withBus: property(head, pathWithBus) || undefined,
    serial: property(head, 'ID_SERIAL'),
    sysname: path === '' && subsystem !== 'input' ? head.sysname : undefined,
    name: said('name'),
    uniq: said('uniq'),
    phys: said('phys'),
  };
}

/** This very one, until it is unplugged: the kernel uses no number of an input twice (drivers/input/input.c). */
export const thisVery = (unit: Unit): Thing => ({ ...thingOf(unit), sysname: unit.head.sysname });

const tellers = ['sysname', 'name', 'uniq', 'phys'] as const;
type Told = Exclude<(typeof tellers)[number], 'sysname'>;

/** Whether the facts of a loan about its device fit another device. */
export const isThing = (known: Thing, other: Thing, sysname?: string): boolean =>
  (['subsystem', 'path', 'serial'] as const).every((key) => known[key] === other[key]) &&
  (known.withBus === undefined || known.withBus === other.withBus) &&
  tellers.every(
    (key) => known[key] === undefined || known[key] === (key === 'sysname' ? (sysname ?? other[key]) : other[key]),
  );

const thingsOf = ({ thing, parts = [] }: Loan): readonly Thing[] => [thing, ...parts];

/** Whether a loan is of this unit, or of something that is the same physical device. */
export const isOf = (loan: Loan, unit: Unit): boolean =>
  thingsOf(loan).some((thing) => isThing(thing, thingOf(unit), unit.head.sysname));

/** When a loan ends, and by whom it was made, in words. */
export const termsOf = ({ until, by }: Loan): string =>
  `until ${until === undefined ? 'hotseat detach' : new Date(until).toISOString()}, by uid ${by}`;

/** The loans of a policy as claims, for the seats that it has, one for each part of a device; the first one wins. */
export const lent = (policy: Policy): Claim[] => lentByDevice(policy).flat();

/** The same, by device. */
export function lentByDevice({ loans = [], seats }: Policy): Claim[][] {
  return loans.flatMap((loan) => {
    const policy = seats.find(({ seat }) => seat === loan.seat);
    if (policy === undefined) return [];
    const { receive } = policy;
    return [thingsOf(loan).map((thing) => ({ seat: loan.seat, rule: { ...ruleOf(loan, thing), receive } }))];
  });
}

/** Classes of devices that are lent to a seat, beside the classes of its rules. */
export const lentTo = ({ loans = [] }: Policy, { seat }: SeatPolicy): SeatSubsystem[] =>
  loans.filter((loan) => loan.seat === seat).flatMap((loan) => thingsOf(loan).map(({ subsystem }) => subsystem));

/** A loan is a rule like any other, so that udev and the agent read it alike. */
function ruleOf(loan: Loan, thing: Thing): Rule {
  const own = (key: Told): Condition[] =>
    thing[key] === undefined ? [] : [{ on: 'attribute', key, patterns: [literal(thing[key])] }];
  return {
    label: termsOf(loan),
    place: { file, line: 0, column: 0 },
    conditions: [
      { on: 'subsystem', patterns: [thing.subsystem], negate: false },
      { on: 'property', key: 'ID_PATH', patterns: [literal(thing.path)], negate: false },
      { on: 'property', key: 'ID_SERIAL', patterns: [literal(thing.serial)], negate: false },
      ...(thing.withBus === undefined
        ? []
        : [{ on: 'property' as const, key: pathWithBus, patterns: [literal(thing.withBus)], negate: false }]),
      ...(thing.sysname === undefined
        ? []
        : [{ on: 'sysname' as const, patterns: [literal(thing.sysname)], negate: false }]),
      ...own('name'),
      ...own('uniq'),
      ...own('phys'),
    ],
    share: false,
    whole: false,
    access: {},
    byName: isJoint({ subsystem: thing.subsystem, sysname: thing.sysname ?? '' }),
    revoke: 'auto',
    hidraw: false,
  };
}

/**
 * A pattern that matches this text: wildcards are literal, and a character that cannot stand in a udev rule matches any
 * byte.
 */
const literal = (text: string): string =>
  text
    .replace(/[*?[]/g, '[$&]')
    .replace(/["|\\\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (char) => '?'.repeat(Buffer.byteLength(char)));
