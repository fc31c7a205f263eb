import { leftBehind, whyLeft } from '../core/along.js';
import { changesOf, nameOfChange, ownerOf, ownerOfOutput, ownerText, plainChanges } from '../core/changes.js';
import { decideAll, decider } from '../core/decide.js';
import { lostLinks } from '../core/desired.js';
import type { Unit } from '../core/device.js';
import { findUnit, type Output } from '../core/find-unit.js';
import type { Placement } from '../core/hid.js';
import { isLoan } from '../core/loan.js';
import { isKind, mismatch, property } from '../core/match.js';
import { nameOf } from '../core/name.js';
import { asksFor, isSplit } from '../core/outputs.js';
import { byPhysical, physicalOf } from '../core/physical.js';
import { kinds, lineOf, type Policy, type Rule, type SeatPolicy } from '../core/policy.js';
import { pathWithBus, portCovers } from '../core/port.js';
import { receiptChanges, receiptOf } from '../core/receipts.js';
import { shareChanges } from '../core/shares.js';
import { claimsOf, contestsOf, type Verdict } from '../core/verdict.js';
import { type Fixture, fixtureOf } from '../policy/fixture.js';
import { machineKey, maskFixture } from '../policy/mask.js';
import type { Connector } from '../udev/connectors.js';
import type { DeviceInfo, Explanation, Left, OutputInfo, Plan, RuleResult } from './messages.js';

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
    rules: claimsOf(verdict).map(({ rule }) => placeOf(rule, revision)),
    ...received(unit, verdict),
  };
}

/** How the seat gets it, where that is not as a node alone. */
function received(unit: Unit, verdict: Verdict | undefined): Pick<DeviceInfo, 'receive'> {
  const [claim] = verdict?.kind === 'seat' ? verdict.claims : [];
  const receive = claim && receiptOf(unit, claim.rule);
  return receive === undefined || receive === 'node' ? {} : { receive };
}

/** An output as `hotseat devices` shows it: whose it is where the card is not given as a whole. */
export function outputInfo(
  { name, status, monitor }: Connector,
  verdict: Verdict | undefined,
  revision: string,
): OutputInfo {
  const seen = { connector: name, status, monitor };
  if (verdict?.kind !== 'seat' || !isSplit(verdict)) return seen;
  const claims = [
    ...verdict.claims.flatMap(({ outputs = [] }) => outputs),
    ...contestsOf(verdict).flatMap(({ connector, claims }) => claims.map(({ rule }) => ({ connector, rule }))),
  ];
  const rules = claims.flatMap(({ connector, rule }) => (connector === name ? [placeOf(rule, revision)] : []));
  return { ...seen, owner: ownerText(ownerOfOutput(verdict, name)), rules };
}

/**
 * All devices as `hotseat devices` shows them: units, and raw HID devices without an input. A device without a seat, at
 * a port of a seat or part of a seat's device, comes with the reason.
 */
export function inventoryOf(
  units: readonly Unit[],
  judged: ReadonlyMap<string, Verdict>,
  raws: readonly { readonly unit: Unit; readonly placement: Placement | undefined }[],
  policy: readonly SeatPolicy[],
  revision: string,
): DeviceInfo[] {
  const left = new Map(leftBehind(units, ({ id }) => judged.get(id)).map((one) => [one.unit.id, whyLeft(one)]));
  const infos = units.map((unit): DeviceInfo => {
    const verdict = judged.get(unit.id);
    const info = infoOf(unit, verdict, revision);
    if (verdict?.kind !== 'host') return info;
    const reason = left.get(unit.id) ?? atPort(unit, policy, ({ rule }) => mismatch(rule, unit.head, unit.nodes));
    return reason === undefined ? info : { ...info, reason };
  });
  return [...infos, ...raws.map(({ unit, placement }) => rawInfoOf(unit, placement, policy, revision))];
}

function rawInfoOf(
  unit: Unit,
  placement: Placement | undefined,
  policy: readonly SeatPolicy[],
  revision: string,
): DeviceInfo {
  const info = { ...infoOf(unit, undefined, revision), name: rawNameOf(unit), kinds: ['hidraw'] };
  if (placement?.kind === 'seat') {
    const { seat, rule } = placement.claim;
    return { ...info, owner: seat, rules: [placeOf(rule, revision)] };
  }
  const asked = ({ rule }: { rule: Rule }) =>
    rule.hidraw ? mismatch(rule, unit.head) : 'hidraw: true would bring it along';
  const reason = placement?.reason ?? atPort(unit, policy, asked);
  return reason === undefined ? info : { ...info, reason };
}

/** A raw node has no name of its own: that of its HID device, as udev's usb_id or the device above it says it. */
const rawNameOf = ({ head }: Unit): string =>
  head.ancestors.find(({ attributes }) => attributes['product'] !== undefined)?.attributes['product'] ??
  head.properties['ID_MODEL'] ??
  head.sysname;

/** For a device at a port that rules name: the first rule that does not want it, and why. */
function atPort(
  { head }: Unit,
  policy: readonly SeatPolicy[],
  why: (one: { readonly rule: Rule }) => string | undefined,
): string | undefined {
  for (const { seat, rules } of policy) {
    for (const rule of rules) {
      const ports = rule.conditions.flatMap((one) => (one.on === 'port' && !one.negate ? one.patterns : []));
      if (!ports.some((port) => portCovers(port, property(head, 'ID_PATH'), property(head, pathWithBus)))) continue;
      const reason = why({ rule });
      if (reason !== undefined) return `at a port of ${seat} (${lineOf(rule.place)}): ${reason}`;
    }
  }
  return undefined;
}

/** Every rule of the policy held against one unit: which won, and what failed first in each of the others. */
export function explanationOf(
  unit: Unit,
  verdict: Verdict | undefined,
  revision: string,
  withheld: Explanation['withheld'],
  left: readonly Left[] = [],
): Explanation {
  return { ...infoOf(unit, verdict, revision), trace: traceOf(verdict, revision), withheld, left };
}

/** The same of one output of a card. */
export function outputExplanationOf(
  { unit, connector }: Output,
  seen: Connector,
  verdict: Verdict | undefined,
  revision: string,
): Explanation {
  const info = infoOf(unit, verdict, revision);
  const output = outputInfo(seen, verdict, revision);
  const { owner = info.owner, rules = info.rules } = output;
  const trace = traceOf(verdict, revision, connector);
  return { ...info, owner, rules, output: connector, outputs: [output], trace, withheld: [], left: [] };
}

/** Each rule, held against a unit, or against one output of it. */
function traceOf(verdict: Verdict | undefined, revision: string, output?: string): RuleResult[] {
  const claims = claimsOf(verdict);
  /** Of each seat, the first rule that matches the unit, and the first rule that takes the unit or the output. */
  const [matching, taking] = [new Map<string, Rule>(), new Map<string, Rule>()];
  let loan: string | undefined;
  return (verdict?.trace ?? []).map(({ seat, rule, failed }): RuleResult => {
    const along = claims.find((claim) => claim.seat === seat && claim.rule === rule)?.along;
    if (along !== undefined) {
      return { seat, label: rule.label, place: placeOf(rule, revision), failed: undefined, along };
    }
    if (failed === undefined && !matching.has(seat)) matching.set(seat, rule);
    const refused = failed ?? (output === undefined ? undefined : unasked(rule, output));
    const first = taking.get(seat) ?? otherSort(rule, matching.get(seat));
    // A seat may have outputs of a card by several rules.
    const isFurther = output === undefined && rule.connectors !== undefined && first?.connectors !== undefined;
    const before =
      loan !== undefined
        ? `matches, but the device was attached to ${loan} by hand`
        : !isFurther && first !== undefined
          ? `${lineOf(first.place)} of the seat comes first`
          : undefined;
    if (refused === undefined && before === undefined && !taking.has(seat)) taking.set(seat, rule);
    if (failed === undefined && isLoan(rule)) loan ??= seat;
    return { seat, label: rule.label, place: placeOf(rule, revision), failed: refused ?? before };
  });
}

/** Why a rule does not ask for an output; undefined for a rule that asks for it, or for the whole card. */
const unasked = (rule: Rule, output: string): string | undefined =>
  rule.connectors === undefined || asksFor(rule, output)
    ? undefined
    : `connector: ${rule.connectors.join(', ')} is not ${output}`;

/** The seat's first rule, where it asks for outputs and this one for the whole card, or the other way round. */
const otherSort = (rule: Rule, first: Rule | undefined): Rule | undefined =>
  first !== undefined && (first.connectors === undefined) !== (rule.connectors === undefined) ? first : undefined;

/** The same of a raw node of a device without any input: rules without `hidraw: true` never give it. */
export function rawExplanationOf(
  unit: Unit,
  placement: Placement | undefined,
  policy: readonly SeatPolicy[],
  revision: string,
): Explanation {
  const claim = placement?.kind === 'seat' ? placement.claim : undefined;
  const trace = policy.flatMap(({ seat, rules }) =>
    rules.map((rule): RuleResult => {
      const isAlong = claim?.along !== undefined && claim.seat === seat && claim.rule === rule;
      const failed = mismatch(rule, unit.head) ?? (rule.hidraw ? undefined : '`hidraw: true` is missing in it');
      const result = { seat, label: rule.label, place: placeOf(rule, revision) };
      return isAlong ? { ...result, failed: undefined, along: claim.along } : { ...result, failed };
    }),
  );
  const withheld =
    placement?.kind === 'withheld' ? [{ device: unit.head.node ?? unit.id, reason: placement.reason }] : [];
  return { ...rawInfoOf(unit, placement, policy, revision), trace, withheld, left: [] };
}

/** Stable names of a seat's device that are not there in the seat. */
export const namesWithheld = (unit: Unit, verdict: Verdict | undefined): Explanation['withheld'] =>
  verdict?.kind === 'seat'
    ? lostLinks(unit).map((device) => ({
        device,
        reason: 'the name has a character that cannot be seen, or is too long',
      }))
    : [];

/** The changes that a policy would make for the present devices, and for the `seats` as they are; nothing is done. */
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
    changes: [
      ...changes.map(({ unit, output, from, to }) => ({
        device: nameOfChange({ unit, output }),
        name: nameOf(unit),
        from: ownerText(from),
        to: ownerText(to),
      })),
      ...plainChanges(seats, policy.seats),
    ],
    receipts: receiptChanges(units, judged, decide),
    shares: shareChanges(seats, policy.seats),
    dangers,
    left: leftOf(units, decideAll(decide, units)),
  };
}

/** The parts that stay with the host of devices of which seats have other parts. */
export const leftOf = (units: readonly Unit[], judged: ReadonlyMap<string, Verdict>): Left[] =>
  leftBehind(units, ({ id }) => judged.get(id)).map((one) => ({
    device: one.unit.nodes[0]?.node ?? one.unit.id,
    name: nameOf(one.unit),
    reason: whyLeft(one),
  }));

/** As `leftOf`, of the physical device that one unit is a part of. */
export const leftBeside = (unit: Unit, units: readonly Unit[], judged: ReadonlyMap<string, Verdict>): Left[] =>
  leftOf(byPhysical(units).get(physicalOf(unit.id)) ?? [], judged);

/** The unit that people mean, as a fixture for tests and reports. */
export function recordOf(units: readonly Unit[], wanted: string, unmask: boolean): Fixture {
  const fixture = fixtureOf(findUnit(units, wanted));
  return unmask ? fixture : maskFixture(fixture, machineKey());
}
