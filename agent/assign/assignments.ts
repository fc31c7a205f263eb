import { isAlong } from '../core/along.js';
import { nameOfChange } from '../core/changes.js';
import { type Decider, decider } from '../core/decide.js';
import type { Grantee } from '../core/desired.js';
import type { Unit } from '../core/device.js';
import type { Tell } from '../core/happening.js';
import { hidDeviceOf, rawPolicy } from '../core/hid.js';
import { Multimap } from '../core/multimap.js';
import { isSplit } from '../core/outputs.js';
import { isPlainId } from '../core/plain.js';
import { type EngineName, lineOf, type Policy, type Rule, type SeatPolicy } from '../core/policy.js';
import type { Touched } from '../core/scope.js';
import { Tenants } from '../core/tenants.js';
import { type Claim, claimsOf, contestsOf, isSameVerdict, unreadAt, type Verdict } from '../core/verdict.js';
import type { SlowAttributes } from '../udev/slow-attributes.js';
import { Hidraws, type HidrawsDeps } from './hidraws.js';
import { PlainNodes } from './plain-nodes.js';

export interface AssignmentsDeps extends HidrawsDeps {
  readonly tell: Tell;
  /** Gets attributes read that verdicts depend on. Without it they stay as they are. */
  readonly slow?: Pick<SlowAttributes, 'want' | 'why'> | undefined;
}

/**
 * Which unit is whose: the policy in force, a verdict for each unit, the places of raw nodes, and which seats have, or may
 * still have, which units. It knows, and does nothing: SeatController acts on it.
 */
export class Assignments {
  /** Rules that have taken a device at any time; a policy that is loaded again has others. */
  private readonly matched = new WeakSet<Rule>();
  private inForce: Policy | undefined;
  private decide: Decider | undefined;
  /** Of raw nodes that belong to no input: by the rules that ask for such. */
  private decideRaw: Decider | undefined;
  private readonly verdicts = new Map<string, Verdict>();
  /** Cards of which seats have outputs. */
  private readonly split = new Set<string>();
  /** Units and raw nodes of which an attribute could not be read yet, and the devices that have these attributes. */
  private readonly unread = new Map<string, readonly string[]>();
  /** Which seats have which units. The seats themselves keep this up to date. */
  readonly tenants = new Tenants();
  /** Raw nodes, which come along with inputs instead of being judged. */
  readonly hidraws: Hidraws;
  /** Nodes that Hotseat does not follow in udev. */
  readonly plain: PlainNodes;

  constructor(private readonly deps: AssignmentsDeps) {
    this.plain = new PlainNodes(deps);
    this.hidraws = new Hidraws(
      deps,
      (unit) => this.verdicts.get(unit),
      (raw) => this.judgeRaw(raw),
    );
  }

  /** Judges everything by another policy. */
  setPolicy(policy: Policy): void {
    this.inForce = policy;
    this.decide = decider(policy);
    this.decideRaw = decider(rawPolicy(policy));
    this.verdicts.clear();
    this.split.clear();
    this.unread.clear();
    for (const unit of this.deps.table.units()) this.evaluate(unit);
    this.hidraws.placeAll();
    this.plain.setPolicy(policy);
  }

  /** Judges units again, after udev said something about them; returns whose it may have changed. */
  reevaluate(changed: ReadonlySet<string>): Touched {
    const touched = new Multimap<string, string>();
    const units = this.deps.table.withParts(changed);
    for (const id of units) {
      const before = this.verdicts.get(id);
      const unit = this.deps.table.unit(id);
      if (unit === undefined) {
        this.verdicts.delete(id);
        this.split.delete(id);
        this.unread.delete(id);
      } else this.evaluate(unit);
      const now = this.verdicts.get(id);
      // Another part of the same device is nothing new by itself.
      if (!changed.has(id) && isSameVerdict(before, now)) continue;
      for (const verdict of [before, now]) for (const seat of seatsIn(verdict)) touched.add(seat, id);
      for (const seat of this.tenants.of(id)) touched.add(seat, id);
    }
    for (const { seat, raw } of this.hidraws.place(units)) touched.add(seat, raw);
    return touched.all;
  }

  /** Undefined until there is one. */
  get policy(): Policy | undefined {
    return this.inForce;
  }

  get revision(): string {
    return this.inForce?.revision ?? 'none';
  }

  get seats(): readonly SeatPolicy[] {
    return this.inForce?.seats ?? [];
  }

  get judged(): ReadonlyMap<string, Verdict> {
    return this.verdicts;
  }

  /** Seats whose container has this name, in this engine or, undefined, in any. */
  seatsOfContainer(name: string, engine: EngineName | undefined): string[] {
    const isMeant = ({ container }: SeatPolicy) =>
      container.name === name && (engine === undefined || container.engine === engine);
    return this.seats.filter(isMeant).map(({ seat }) => seat);
  }

  /** Whether a rule has ever taken, or come into conflict over, a device. */
  hasMatched(rule: Rule): boolean {
    return this.matched.has(rule);
  }

  /** Cards of which seats have outputs. */
  splitCards(): { readonly unit: Unit; readonly claims: readonly Claim[] }[] {
    return [...this.split].flatMap((id) => {
      const verdict = this.verdicts.get(id);
      const unit = this.deps.table.unit(id);
      return unit === undefined || verdict?.kind !== 'seat' ? [] : [{ unit, claims: verdict.claims }];
    });
  }

  /** A card that was held for outputs may be free now: a seat that must have all of it can get it. */
  freedCards(): Touched {
    const touched = new Multimap<string, string>();
    for (const [id, verdict] of this.verdicts) {
      if (isSplit(verdict) || this.deps.table.unit(id)?.subsystem !== 'drm') continue;
      for (const seat of seatsIn(verdict)) touched.add(seat, id);
    }
    return touched.all;
  }

  /** In words: units, or one unit, that nobody gets as long as an attribute could not be read that a rule asks for. */
  unreadable(unit?: string): { readonly device: string; readonly reason: string }[] {
    return [...this.unread].flatMap(([id, at]) => {
      if (unit !== undefined && id !== unit) return [];
      const found = this.deps.table.unit(id) ?? this.deps.table.rawUnit(id);
      if (found === undefined) return [];
      return [
        { device: found.nodes[0]?.node ?? id, reason: this.deps.slow?.why(at) ?? `${at.join(' and ')} is not read` },
      ];
    });
  }

  /** All units, raw nodes and plain nodes that may be for a seat. */
  ids(seat: string): string[] {
    const others = [...this.hidraws.of(seat), ...this.plain.of(seat)];
    return [...this.verdicts.keys(), ...others.map(({ unit }) => unit.id)];
  }

  /** How a seat gets a unit, a raw node or a plain node; undefined when it does not. */
  granteeOf(seat: string, id: string): Grantee | undefined {
    if (isPlainId(id)) return this.plain.granteeOf(seat, id);
    if (hidDeviceOf(id) !== undefined) return this.hidraws.granteeOf(seat, id);
    const verdict = this.verdicts.get(id);
    const claim = verdict?.kind === 'seat' ? verdict.claims.find((other) => other.seat === seat) : undefined;
    const unit = claim === undefined ? undefined : this.deps.table.unit(id);
    return claim === undefined || unit === undefined ? undefined : { unit, claim };
  }

  /** The seats that a unit, a raw node or a plain node is for. */
  entitled(id: string): string[] {
    if (isPlainId(id)) return this.plain.seatsOf(id);
    return hidDeviceOf(id) === undefined ? seatsIn(this.verdicts.get(id)) : this.hidraws.seatsOf(id);
  }

  /** Whether a unit, or a raw node, is for this seat, and neither is nor can still be read in a seat that it is not for. */
  mayHave(seat: string, id: string): boolean {
    const seats = this.entitled(id);
    return seats.includes(seat) && (this.keeps(seat, id) || !this.isHeld(id, seats));
  }

  /** Seats that a unit is in, or may still be in. */
  holders(unit: string): string[] {
    return [...this.tenants.of(unit)];
  }

  /** After these units left a seat for good: others that may have been waiting for them. */
  awaiting(units: Iterable<string>, seat: string): Touched {
    const touched = new Multimap<string, string>();
    for (const unit of units) {
      for (const id of [unit, ...this.deps.table.readAt(unit), ...this.deps.table.rawOf([unit])]) {
        for (const other of this.entitled(id)) if (other !== seat) touched.add(other, id);
      }
    }
    return touched.all;
  }

  /** Whether a seat has a device that it may share: it keeps the device while another seat is losing it. */
  private keeps(seat: string, id: string): boolean {
    const verdict = this.verdicts.get(id);
    const isShared = verdict?.kind === 'seat' && verdict.claims.every(({ rule }) => rule.share);
    return isShared && this.tenants.of(id).has(seat);
  }

  /** Whether a device is, or can still be read, in another seat than these. A plain node is nobody's alone. */
  private isHeld(id: string, seats: readonly string[]): boolean {
    if (isPlainId(id)) return false;
    return [...this.tenants.of(id)].some((other) => !seats.includes(other));
  }

  private evaluate(unit: Unit): void {
    if (this.decide === undefined) return;
    const parts = this.deps.table.partsOf(unit.id);
    const before = this.verdicts.get(unit.id);
    const verdict = this.remaining(before, this.decide(unit, parts));
    this.verdicts.set(unit.id, verdict);
    if (isSplit(verdict)) this.split.add(unit.id);
    else this.split.delete(unit.id);
    this.note(verdict);
    this.noteUnread(unit.id, verdict);
    this.deps.along?.(unit, verdict);
    this.sayContests(unit, before, verdict);
    // The seats of its outputs find the present monitors.
    if (isSplit(verdict)) this.deps.table.changedConnectors(unit.id);
    if (verdict.kind === 'conflict' && before?.kind !== 'conflict') {
      const rules = verdict.claims.map(({ seat, rule }) => `${seat} (${lineOf(rule.place)})`);
      this.deps.log.warn({ device: unit.id, rules }, 'two seats want one device: bound to neither');
      this.deps.tell({ kind: 'conflict', device: unit.id, rules });
    }
  }

  private sayContests(unit: Unit, before: Verdict | undefined, verdict: Verdict): void {
    const known = new Set(contestsOf(before).map(({ connector }) => connector));
    for (const { connector, claims } of contestsOf(verdict)) {
      if (known.has(connector)) continue;
      const device = nameOfChange({ unit, output: connector });
      const rules = claims.map(({ seat, rule }) => `${seat} (${lineOf(rule.place)})`);
      this.deps.log.warn({ device, rules }, 'two seats want one output: bound to neither');
      this.deps.tell({ kind: 'conflict', device, rules });
    }
  }

  /**
   * While a device is unplugged, parts that came along with a part that has gone already stay at their seat until they
   * go as well. They also stay while the driver of that part is bound again.
   */
  private remaining(before: Verdict | undefined, now: Verdict): Verdict {
    if (now.kind !== 'host' || before === undefined || !isAlong(before)) return now;
    const isGone = claimsOf(before).every(
      ({ along }) => along !== undefined && this.deps.table.unit(along) === undefined,
    );
    return isGone ? before : now;
  }

  private note(verdict: Verdict): void {
    for (const { rule, outputs } of claimsOf(verdict)) {
      if (outputs === undefined) this.matched.add(rule);
      else for (const output of outputs) this.matched.add(output.rule);
    }
    for (const { claims } of contestsOf(verdict)) for (const { rule } of claims) this.matched.add(rule);
  }

  private noteUnread(id: string, verdict: Verdict): void {
    if (verdict.kind === 'unread') this.unread.set(id, verdict.at);
    else this.unread.delete(id);
    const at = unreadAt(verdict);
    if (at.length > 0) this.deps.slow?.want(id, at);
  }

  private judgeRaw(raw: Unit): Verdict | undefined {
    const verdict = this.decideRaw?.(raw, this.deps.table.partsOf(raw.id));
    if (verdict === undefined) return undefined;
    this.note(verdict);
    this.noteUnread(raw.id, verdict);
    this.deps.along?.(raw, verdict);
    return verdict;
  }
}

/** Seats to which a verdict gives something. */
const seatsIn = (verdict: Verdict | undefined): string[] =>
  verdict?.kind === 'seat' ? verdict.claims.map((claim) => claim.seat) : [];
