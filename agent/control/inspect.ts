import { leftBehind, whyLeft } from '../core/along.js';
import { changesOf, ownerOf, ownerText } from '../core/changes.js';
import { decideAll, decider } from '../core/decide.js';
import type { Unit } from '../core/device.js';
import { isLoan } from '../core/loan.js';
import { isKind, property } from '../core/match.js';
import { nameOf } from '../core/name.js';
import { byPhysical, physicalOf } from '../core/physical.js';
import { kinds, lineOf, type Policy, type Rule, type SeatPolicy } from '../core/policy.js';
import { shareChanges } from '../core/shares.js';
import type { Verdict } from '../core/verdict.js';
import { type Fixture, fixtureOf } from '../policy/fixture.js';
import { machineKey, maskFixture } from '../policy/mask.js';
import { ControlError } from './error.js';
import type { DeviceInfo, Explanation, Left, Plan, RuleResult } from './messages.js';

/** `left.yaml:5@1a2b3c4d5e6f`: a rule's place at the revision that is active. */
const placeOf = (rule: Rule, revision: string): string =>
  isLoan(rule) ? lineOf(rule.place) : `${lineOf(rule.place)}@${revision.slice(0, 12)}`;

/** One unit as `hotseat devices` shows it. */
export function infoOf(unit: Unit, verdict: Verdict | undefined, revision: string): DeviceInfo {
  const { head } = unit;
  return {
    device: unit.id,
    name: nameOf(unit),
    nodes: unit.nodes.flatMap(({ node }) => node ?? []),
    port: property(head, 'ID_PATH'),
    kinds: kinds.filter((kind) => isKind(kind, head, unit.nodes)),
    owner: verdict === undefined ? 'host' : ownerText(ownerOf(verdict)),
    rules:
      verdict === undefined || verdict.kind === 'host' ? [] : verdict.claims.map(({ rule }) => placeOf(rule, revision)),
  };
}

/** Every rule of the policy held against one unit: which won, and what failed first in each of the others. */
export function explanationOf(
  unit: Unit,
  verdict: Verdict | undefined,
  revision: string,
  withheld: Explanation['withheld'],
  left: readonly Left[] = [],
): Explanation {
  const claims = verdict === undefined || verdict.kind === 'host' ? [] : verdict.claims;
  const taken = new Map<string, Rule>();
  let loan: string | undefined;
  const trace = (verdict?.trace ?? []).map(({ seat, rule, failed }): RuleResult => {
    const along = claims.find((claim) => claim.seat === seat && claim.rule === rule)?.along;
    if (along !== undefined) {
      return { seat, label: rule.label, place: placeOf(rule, revision), failed: undefined, along };
    }
    const first = taken.get(seat);
    const before =
      loan !== undefined
        ? `matches, but the device was attached to ${loan} by hand`
        : first && `${lineOf(first.place)} of the seat comes first`;
    const shadowed = failed ?? before;
    if (failed === undefined && first === undefined) taken.set(seat, rule);
    if (failed === undefined && isLoan(rule)) loan ??= seat;
    return { seat, label: rule.label, place: placeOf(rule, revision), failed: shadowed };
  });
  return { ...infoOf(unit, verdict, revision), trace, withheld, left };
}

/** What a policy would change for the devices that are here now, and for the `seats` as they are; nothing is done. */
export function planOf(
  policy: Policy,
  units: readonly Unit[],
  judged: ReadonlyMap<string, Verdict>,
  seats: readonly SeatPolicy[] = [],
): Plan {
  const decide = decider(policy);
  const { changes, dangers } = changesOf(units, judged, decide);
  return {
    revision: policy.revision,
    changes: changes.map(({ unit, from, to }) => ({
      device: unit.id,
      name: nameOf(unit),
      from: ownerText(from),
      to: ownerText(to),
    })),
    shares: shareChanges(seats, policy.seats),
    dangers,
    left: leftOf(units, decideAll(decide, units)),
  };
}

/** What stays with the host of devices that seats have other parts of. */
export const leftOf = (units: readonly Unit[], judged: ReadonlyMap<string, Verdict>): Left[] =>
  leftBehind(units, ({ id }) => judged.get(id)).map((one) => ({
    device: one.unit.nodes[0]?.node ?? one.unit.id,
    name: nameOf(one.unit),
    reason: whyLeft(one),
  }));

/** As `leftOf`, of the physical device that one unit is a part of. */
export const leftBeside = (unit: Unit, units: readonly Unit[], judged: ReadonlyMap<string, Verdict>): Left[] =>
  leftOf(byPhysical(units).get(physicalOf(unit.id)) ?? [], judged);

/** The unit that people mean: by a node, a path in sysfs, a kernel name, or a name that only one device has. */
export function findUnit(units: readonly Unit[], wanted: string): Unit {
  const names = ({ id, head, nodes }: Unit): (string | undefined)[] => [
    id,
    ...[head, ...nodes].flatMap(({ syspath, sysname, node, links }) => [syspath, sysname, node, ...links]),
    head.attributes['name'],
  ];
  const found = units.filter((unit) => names(unit).includes(wanted));
  const [unit] = found;
  if (unit === undefined) throw new ControlError(`no device ${JSON.stringify(wanted)}: hotseat devices lists them`);
  if (found.length === 1) return unit;
  throw new ControlError(`${found.length} devices are ${JSON.stringify(wanted)}: name one by its node or path`, [
    ...found.map(({ id }) => id),
  ]);
}

/** The unit that people mean, as a fixture for tests and reports. */
export function recordOf(units: readonly Unit[], wanted: string, unmask: boolean): Fixture {
  const fixture = fixtureOf(findUnit(units, wanted));
  return unmask ? fixture : maskFixture(fixture, machineKey());
}
