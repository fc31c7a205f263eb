import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import type { Logger } from 'pino';
import { isAlong } from './core/along.js';
import type { Audit, Deed } from './core/audit.js';
import { nameOfChange } from './core/changes.js';
import { classesOf } from './core/classes.js';
import { type Decider, decider } from './core/decide.js';
import { desiredUnit, type Grantee } from './core/desired.js';
import { type NodeClass, nodeClass, type Unit } from './core/device.js';
import type { Measure, Tell } from './core/happening.js';
import { hidDeviceOf, rawPolicy } from './core/hid.js';
import { lentTo } from './core/loan.js';
import { Multimap } from './core/multimap.js';
import { hearing, isSplit } from './core/outputs.js';
import { type EngineName, isSameContainer, lineOf, type Policy, type Rule, type SeatPolicy } from './core/policy.js';
import { type Scope, type Touched, whole } from './core/scope.js';
import { Tenants } from './core/tenants.js';
import { unitOf } from './core/units.js';
import { type Claim, contestsOf, isSameVerdict, type Verdict } from './core/verdict.js';
import type { Container } from './engines/engine.js';
import { uidsOf } from './engines/users.js';
import { Hidraws } from './hidraws.js';
import type { Namespaces } from './kernel/namespaces.js';
import { type Descriptors, noDescriptors } from './seat/descriptors.js';
import type { Effects } from './seat/effects.js';
import { type SeatFiles, seatFiles } from './seat/files.js';
import type { Grants } from './seat/grants.js';
import { type Graft, graftsOf, runtime } from './seat/layout.js';
import type { Outlet } from './seat/outlet.js';
import type { Wish } from './seat/wishes.js';
import { SeatWorker } from './seat/worker.js';
import { newsOf } from './udev/allow.js';
import { presentation } from './udev/record.js';
import type { UdevMessage } from './udev/source.js';
import type { DeviceTable } from './udev/table.js';

export interface HouseDeps {
  readonly log: Logger;
  readonly table: DeviceTable;
  readonly grants: Grants;
  readonly namespaces: Namespaces;
  readonly effects: Effects;
  readonly tell: Tell;
  readonly audit: Audit;
  readonly measure: Measure;
  /** Told of each unit that was judged, and how. */
  readonly along?: (unit: Unit, verdict: Verdict) => void;
  /** Whether a card is held for seats that have outputs of it: nobody gets its node meanwhile. */
  readonly isLeased?: (unit: string) => boolean;
  /** Called after seats were brought up to date. */
  readonly served?: () => void;
  /** Inputs that come as descriptors; none unless given. */
  readonly descriptors?: Descriptors;
  /** Opens the files of a seat; those in their usual place unless given. */
  readonly filesOf?: (seat: string, log: Logger) => SeatFiles;
}

/** A card of which seats have outputs. */
export interface SplitCard {
  readonly unit: Unit;
  readonly claims: readonly Claim[];
  /** No seat has, or may still have, a node of it. */
  readonly isFree: boolean;
}

/** A seat whose display server opens devices through the holder. */
export interface Receiver {
  readonly seat: string;
  readonly outlet: Outlet;
  /** Who may connect; undefined when only leftovers are to be taken back. */
  readonly rule: Pick<Rule, 'access'> | undefined;
  readonly cgroup: string | undefined;
  readonly container: Container | undefined;
}

/** A container's init may still mount over our grafts (systemd mounts /run) for this long after a change of state, ms. */
const young = 25_000;

/**
 * The state between two triggers: the policy, a verdict for each unit, the containers, and one worker a seat. Every
 * method takes in one kind of news and returns the seats that it may have changed; `serve` brings them up to date.
 */
export class House {
  /** Rules that have taken a device at any time; a policy that is loaded again has others. */
  private readonly matched = new WeakSet<Rule>();
  private policy: Policy | undefined;
  private decide: Decider | undefined;
  /** Of raw nodes that belong to no input: by the rules that ask for such. */
  private decideRaw: Decider | undefined;
  private readonly verdicts = new Map<string, Verdict>();
  private readonly workers = new Map<string, SeatWorker>();
  private readonly tenants = new Tenants();
  private readonly grafts = new Map<string, readonly Graft[]>();
  /** Monotonic, ms: the clock on the wall may be set while a PC starts, which is when containers do. */
  private readonly youngUntil = new Map<string, number>();
  /** Classes of which a seat has got devices under this policy, also classes that its rules do not name. */
  private readonly came = new Map<string, Set<NodeClass>>();
  /** When something else than udev last changed the wanted devices of a seat (CLOCK_MONOTONIC, ns). */
  private readonly changed = new Map<string, bigint>();
  /** Cards of which seats have outputs. */
  private readonly split = new Set<string>();
  /** Seats that the policy gives descriptors, and who may connect there. */
  private receiving: ReadonlyMap<string, Pick<Rule, 'access'>> = new Map();
  private containers: readonly Container[] = [];
  /** Users whom the guard covers. */
  private restricted: ReadonlySet<string> = new Set();
  /** Why it does not cover all that it should, in words. */
  private unrestricted: string | undefined;
  /** Raw nodes, which come along with inputs instead of being judged. */
  readonly hidraws: Hidraws;

  constructor(private readonly deps: HouseDeps) {
    this.hidraws = new Hidraws(
      deps,
      (unit) => this.verdicts.get(unit),
      (raw) => this.judgeRaw(raw),
    );
  }

  /** Judges units again, after udev said something about them. */
  judge(changed: ReadonlySet<string>): Touched {
    const touched = new Multimap<string, string>();
    const units = this.deps.table.withParts(changed);
    for (const id of units) {
      const before = this.verdicts.get(id);
      const unit = this.deps.table.unit(id);
      if (unit === undefined) {
        this.verdicts.delete(id);
        this.split.delete(id);
      } else this.pronounce(unit);
      const now = this.verdicts.get(id);
      // Another part of the same device is nothing new by itself.
      if (!changed.has(id) && isSameVerdict(before, now)) continue;
      for (const verdict of [before, now]) for (const seat of seatsIn(verdict)) touched.add(seat, id);
      for (const seat of this.tenants.of(id)) touched.add(seat, id);
    }
    for (const { seat, raw } of this.hidraws.place(units)) touched.add(seat, raw);
    return touched.all;
  }

  /** Hands on the news of the moment in a message, such as a monitor that came, to the seats that have the device. */
  tell(message: UdevMessage): void {
    if (message.kind !== 'event' || message.event.action !== 'change') return;
    const news = newsOf(message.event.properties);
    if (Object.keys(news).length === 0) return;
    const { syspath } = message.event;
    const id = unitOf('drm', syspath) ?? '';
    const verdict = this.verdicts.get(id);
    if (verdict?.kind !== 'seat' || !isSplit(verdict)) {
      for (const worker of this.workers.values()) worker.tell(syspath, news);
      return;
    }
    // The coming and going of leases is the business of the lessor.
    const { LEASE: _lease, ...rest } = news;
    if (Object.keys(rest).length === 0) return;
    for (const seat of hearing(verdict, this.deps.table.changedConnectors(id))) {
      this.workers.get(seat)?.tell(syspath, rest);
    }
  }

  /** Takes a new policy as a whole. Seats that it no longer names are emptied. */
  adopt(policy: Policy): Touched {
    this.policy = policy;
    this.decide = decider(policy);
    this.decideRaw = decider(rawPolicy(policy));
    for (const { seat } of policy.seats) this.worker(seat);
    for (const seat of leftovers()) this.worker(seat);
    const known = policy.seats.map(({ seat }) => this.containerOf(seat));
    // A container that is no longer a seat's is guarded until everything is taken back from it.
    this.deps.grants.keep([...known, ...this.occupied()].flatMap((container) => container?.cgroup ?? []));
    this.restrict();
    this.receiving = receiving(policy);
    this.verdicts.clear();
    this.split.clear();
    this.came.clear();
    for (const unit of this.deps.table.units()) this.pronounce(unit);
    for (const seat of this.workers.keys()) this.changed.set(seat, process.hrtime.bigint());
    this.hidraws.placeAll();
    this.grafts.clear();
    return whole(this.workers.keys());
  }

  /** Containers that have, or may still have, anything of a seat. */
  private occupied(): Container[] {
    return this.containers.filter((one) => [...this.workers.values()].some((worker) => worker.occupies(one)));
  }

  /** Restricts users who run a seat, or may still have something of one. Their uids are looked up again each time. */
  private restrict(): void {
    // Until there is a policy, the guard goes on to forbid as the former agent told it.
    if (this.policy === undefined) return;
    const tenants = [...this.workers.values()].flatMap(({ tenant }) => tenant ?? []);
    const containers = [...this.policy.seats.map(({ container }) => container), ...tenants];
    const users = new Set(containers.flatMap(({ user }) => user ?? []));
    try {
      this.deps.grants.restrict([...users].flatMap(uidsOf));
      this.restricted = users;
      this.unrestricted = undefined;
    } catch (error) {
      // The guard is as it was, and this is tried again at each look.
      const why = `users cannot be kept from devices of others: ${(error as Error).message}`;
      if (why !== this.unrestricted) this.deps.log.error({ err: error }, 'the guard does not cover all users of seats');
      this.unrestricted = why;
    }
  }

  /** A container of a user whom the guard does not cover is given nothing. */
  private asGuarded(container: Container | undefined): Container | undefined {
    const { user } = container ?? {};
    if (container === undefined || user === undefined || this.unrestricted === undefined) return container;
    return this.restricted.has(user) ? container : { ...container, state: 'unclear' };
  }

  /** Takes in which containers run now. */
  populate(containers: readonly Container[]): Touched {
    const before = this.containers;
    this.containers = containers;
    this.restrict();
    const touched = new Set<string>();
    for (const { seat, container } of this.policy?.seats ?? []) {
      const was = before.find((one) => isSameContainer(one, container));
      const is = this.containerOf(seat);
      if (was?.key !== is?.key || was?.state !== is?.state) this.youngUntil.set(seat, performance.now() + young);
      if (is === undefined ? was === undefined : performance.now() > (this.youngUntil.get(seat) ?? 0)) continue;
      this.changed.set(seat, process.hrtime.bigint());
      this.worker(seat).expectChanges();
      touched.add(seat);
    }
    return whole(touched);
  }

  /** Gives the seats their wanted devices; settles when each has them, or has said why not. */
  async serve(touched: Touched): Promise<void> {
    await Promise.all([...touched].map(([seat, scope]) => this.prepared(seat, scope)?.trigger(scope)));
    this.deps.served?.();
  }

  /** Cards of which seats have outputs, and the worker of each of these seats. */
  splitCards(): SplitCard[] {
    return [...this.split].flatMap((id) => {
      const verdict = this.verdicts.get(id);
      const unit = this.deps.table.unit(id);
      if (unit === undefined || verdict?.kind !== 'seat') return [];
      const isFree = ![...this.workers.values()].some((worker) => worker.hasNode(id));
      return [{ unit, claims: verdict.claims, isFree }];
    });
  }

  /** The sockets by which display servers get their leases, for all present and former seats. */
  outlets(): Map<string, Outlet> {
    return new Map([...this.workers].map(([seat, worker]) => [seat, worker.outlet]));
  }

  /** Seats to which devices are served as descriptors, or may still be. */
  receivers(): Receiver[] {
    return [...this.workers].flatMap(([seat, worker]) => {
      const rule = this.receiving.get(seat);
      if (rule === undefined && !worker.isServed) return [];
      const { container } = worker.report();
      return [{ seat, outlet: worker.seatd, rule, cgroup: worker.tenant?.cgroup, container }];
    });
  }

  /** The sockets of all seats at which devices are served; all seats that there are or were. */
  seatdOutlets(): Map<string, Outlet> {
    return new Map([...this.workers].map(([seat, worker]) => [seat, worker.seatd]));
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

  /**
   * Looks at everything again, one seat after the other, and no longer in one piece than one seat takes: heals changes
   * that no event told of. No seat waits until another one is done.
   */
  async recheck(): Promise<void> {
    this.restrict();
    this.deps.grants.reread();
    const looks: (Promise<void> | undefined)[] = [];
    for (const seat of [...this.workers.keys()]) {
      looks.push(this.prepared(seat, 'all')?.look());
      await turn();
    }
    await Promise.all(looks);
  }

  /** Seats whose container has this name, in this engine or, undefined, in any. */
  seatsOfContainer(name: string, engine: EngineName | undefined): string[] {
    const isMeant = ({ container }: SeatPolicy) =>
      container.name === name && (engine === undefined || container.engine === engine);
    return (this.policy?.seats ?? []).filter(isMeant).map(({ seat }) => seat);
  }

  /** For status: every seat with its worker, and every verdict. */
  get seats(): readonly { readonly policy: SeatPolicy; readonly worker: SeatWorker }[] {
    return (this.policy?.seats ?? []).map((policy) => ({ policy, worker: this.worker(policy.seat) }));
  }

  get judged(): ReadonlyMap<string, Verdict> {
    return this.verdicts;
  }

  /** Another seat that has, or may still have, devices in a seat's container: it has to be done with it first. */
  occupantOf(seat: string, container = this.containerOf(seat)): string | undefined {
    if (container === undefined) return undefined;
    return [...this.workers].find(([other, worker]) => other !== seat && worker.occupies(container))?.[0];
  }

  /** Seats that a unit is in, or may still be in. */
  holders(unit: string): string[] {
    return [...this.tenants.of(unit)];
  }

  get revision(): string {
    return this.policy?.revision ?? 'none';
  }

  /** Why seats, also former ones, lack devices that they must have. */
  problems(): string[] {
    const ofSeats = [...this.workers].flatMap(([seat, worker]) => {
      const { problem } = worker.report();
      return problem === undefined ? [] : [`${seat}: ${problem}`];
    });
    return this.unrestricted === undefined ? ofSeats : [this.unrestricted, ...ofSeats];
  }

  /** Seats that are being brought up to date, and for how long now, ms. */
  busy(): { readonly seat: string; readonly ms: number }[] {
    return [...this.workers].flatMap(([seat, { busyMs }]) => (busyMs === undefined ? [] : [{ seat, ms: busyMs }]));
  }

  async close(): Promise<void> {
    await Promise.all([...this.workers.values()].map((worker) => worker.close()));
  }

  private pronounce(unit: Unit): void {
    if (this.decide === undefined) return;
    const parts = this.deps.table.partsOf(unit.id);
    const before = this.verdicts.get(unit.id);
    const verdict = this.remaining(before, this.decide(unit, parts));
    this.verdicts.set(unit.id, verdict);
    if (isSplit(verdict)) this.split.add(unit.id);
    else this.split.delete(unit.id);
    this.note(verdict);
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
    if (now.kind !== 'host' || before === undefined || !isAlong(before) || before.kind === 'host') return now;
    const isGone = before.claims.every(({ along }) => along !== undefined && this.deps.table.unit(along) === undefined);
    return isGone ? before : now;
  }

  /** Whether a rule has ever taken, or come into conflict over, a device. */
  hasMatched(rule: Rule): boolean {
    return this.matched.has(rule);
  }

  private note(verdict: Verdict): void {
    if (verdict.kind === 'host') return;
    for (const { rule, outputs } of verdict.claims) {
      if (outputs === undefined) this.matched.add(rule);
      else for (const output of outputs) this.matched.add(output.rule);
    }
    for (const { claims } of contestsOf(verdict)) for (const { rule } of claims) this.matched.add(rule);
  }

  private judgeRaw(raw: Unit): Verdict | undefined {
    const verdict = this.decideRaw?.(raw, this.deps.table.partsOf(raw.id));
    if (verdict === undefined) return undefined;
    this.note(verdict);
    this.deps.along?.(raw, verdict);
    return verdict;
  }

  private seatsOf(unit: string): string[] {
    return seatsIn(this.verdicts.get(unit));
  }

  private prepared(seat: string, scope: Scope): SeatWorker | undefined {
    const worker = this.workers.get(seat);
    const container = this.containerOf(seat);
    if (worker === undefined) return undefined;
    if (container !== undefined && !worker.occupies(container)) this.guard(container);
    if (scope === 'all') worker.wantAll(this.wishes(seat), this.graftsOf(seat));
    else {
      for (const unit of scope) worker.want(unit, this.wish(seat, unit));
      worker.graft(this.graftsOf(seat));
    }
    worker.serve(
      this.occupantOf(seat, container) === undefined ? this.asGuarded(container) : undefined,
      this.containers,
    );
    return worker;
  }

  /**
   * At once: the seat's run guards the containers that it serves, but it may have to take devices back from another
   * container first.
   */
  private guard({ cgroup }: Container): void {
    try {
      this.deps.grants.guard(cgroup);
    } catch (error) {
      // It has ended by now, or the seat's run will name the fault.
      this.deps.log.debug({ cgroup, err: error }, 'not guarded');
    }
  }

  /**
   * The devices that this seat gets now: no device that still is in another seat and may not be in two (promise 1).
   */
  private wishes(seat: string): Map<string, Wish> {
    const wishes = new Map<string, Wish>();
    for (const id of [...this.verdicts.keys(), ...this.hidraws.of(seat).map(({ unit }) => unit.id)]) {
      const wish = this.wish(seat, id);
      if (wish !== undefined) wishes.set(id, wish);
    }
    return wishes;
  }

  private wish(seat: string, id: string): Wish | undefined {
    const grantee = hidDeviceOf(id) === undefined ? this.granteeOf(seat, id) : this.hidraws.granteeOf(seat, id);
    if (grantee === undefined || !this.mayHave(seat, id)) return undefined;
    if (grantee.unit.subsystem !== 'hidraw') this.noteClass(seat, nodeClass(grantee.unit.subsystem));
    return (accounts) => desiredUnit(grantee, accounts, presentation);
  }

  private noteClass(seat: string, name: NodeClass): void {
    const came = this.came.get(seat) ?? new Set();
    if (came.has(name)) return;
    this.came.set(seat, came.add(name));
    this.grafts.delete(seat);
  }

  private granteeOf(seat: string, id: string): Grantee | undefined {
    const verdict = this.verdicts.get(id);
    const claim = verdict?.kind === 'seat' ? verdict.claims.find((other) => other.seat === seat) : undefined;
    const unit = claim === undefined ? undefined : this.deps.table.unit(id);
    return claim === undefined || unit === undefined ? undefined : { unit, claim };
  }

  /** After something left a seat for good: others may have been waiting for it. */
  private release(seat: string, scope: Scope): Touched {
    if (scope === 'all') return whole([...this.workers.keys()].filter((other) => other !== seat));
    const touched = new Multimap<string, string>();
    for (const unit of scope) {
      for (const id of [unit, ...this.deps.table.readAt(unit), ...this.deps.table.rawOf([unit])]) {
        for (const other of this.entitled(id)) if (other !== seat) touched.add(other, id);
      }
    }
    return touched.all;
  }

  /** Whether a unit, or a raw node, is for this seat, and neither is nor can still be read in a seat that it is not for. */
  private mayHave(seat: string, id: string): boolean {
    const seats = this.entitled(id);
    if (!seats.includes(seat)) return false;
    if (this.deps.isLeased?.(id) === true && !isSplit(this.verdicts.get(id))) return false;
    return this.keeps(seat, id) || !this.isHeld(id, seats);
  }

  /** Whether a seat has a device that it may share: it keeps the device while another seat is losing it. */
  private keeps(seat: string, id: string): boolean {
    const verdict = this.verdicts.get(id);
    const isShared = verdict?.kind === 'seat' && verdict.claims.every(({ rule }) => rule.share);
    return isShared && this.tenants.of(id).has(seat);
  }

  private entitled(id: string): string[] {
    return hidDeviceOf(id) === undefined ? this.seatsOf(id) : this.hidraws.seatsOf(id);
  }

  /** Cgroups of the containers in which other seats have a device that they keep. */
  private keepers(seat: string, id: string): string[] {
    const tenants = this.tenants.of(id);
    return this.entitled(id).flatMap((other) => {
      const worker = this.workers.get(other);
      if (other === seat || worker === undefined || !tenants.has(other)) return [];
      return this.containers.flatMap((container) => (worker.occupies(container) ? [container.cgroup] : []));
    });
  }

  /** Whether a device is, or can still be read, in another seat than these. */
  private isHeld(id: string, seats: readonly string[]): boolean {
    return [...this.tenants.of(id)].some((other) => !seats.includes(other));
  }

  /**
   * Classes of devices that the seat's rules can match, that were given to it by hand, or of which it gets a device. A
   * class that has come once stays, so that a device that is plugged again finds it. Worked out once until one of these
   * changes.
   */
  private graftsOf(seat: string): readonly Graft[] {
    const known = this.grafts.get(seat);
    if (known !== undefined) return known;
    const policy = this.policy?.seats.find((other) => other.seat === seat);
    const lent = this.policy === undefined || policy === undefined ? [] : lentTo(this.policy, policy);
    const classes =
      policy === undefined ? [] : [...classesOf(policy), ...lent.map(nodeClass), ...(this.came.get(seat) ?? [])];
    const grafts = graftsOf(new Set(classes));
    this.grafts.set(seat, grafts);
    return grafts;
  }

  private containerOf(seat: string): Container | undefined {
    const wanted = this.policy?.seats.find((policy) => policy.seat === seat)?.container;
    return wanted && this.containers.find((container) => isSameContainer(container, wanted));
  }

  /** The label of the rule by which a seat gets a unit. A unit that leaves may have none any more. */
  private labelOf(seat: string, { what, device }: Deed): string | undefined {
    const verdict = what === 'bind' && device !== undefined ? this.verdicts.get(device) : undefined;
    return verdict?.kind === 'seat' ? verdict.claims.find((claim) => claim.seat === seat)?.rule.label : undefined;
  }

  /** When a message was received, unless the present work is due to a later event. */
  private due(seat: string, received: bigint | undefined): bigint | undefined {
    return received !== undefined && received > (this.changed.get(seat) ?? 0n) ? received : undefined;
  }

  private worker(seat: string): SeatWorker {
    const known = this.workers.get(seat);
    if (known !== undefined) return known;
    const { log, table, grants, namespaces, effects, tell, audit, measure, filesOf = seatFiles } = this.deps;
    const { descriptors = noDescriptors } = this.deps;
    const files = filesOf(seat, log);
    files.journal.follow((unit, has) => this.tenants.note(seat, unit, has));
    const worker = new SeatWorker(seat, {
      ...files,
      log,
      effects,
      descriptors,
      grants,
      namespaces,
      tell,
      audit: (deed) => audit({ ...deed, rule: this.labelOf(seat, deed) }),
      measure,
      present: (device) => table.isPlugged(device),
      receivedNs: (unit) => this.due(seat, table.receivedNs(unit)),
      mayHave: (unit) => this.mayHave(seat, unit),
      keepers: (unit) => this.keepers(seat, unit),
      released: (scope) => void this.serve(this.release(seat, scope)),
    });
    this.workers.set(seat, worker);
    return worker;
  }
}

/**
 * Seats that get any device as a descriptor, with the first rule that says so: users who could open a node by that rule
 * may connect.
 */
const receiving = ({ seats }: Policy): ReadonlyMap<string, Pick<Rule, 'access'>> =>
  new Map(
    seats.flatMap(({ seat, rules, receive = 'node' }): [string, Pick<Rule, 'access'>][] => {
      const byRule = rules.find((rule) => (rule.receive ?? 'node') !== 'node');
      const rule = byRule ?? (receive === 'node' ? undefined : { access: {} });
      return rule === undefined ? [] : [[seat, rule]];
    }),
  );

/** Seats to which a verdict gives something. */
const seatsIn = (verdict: Verdict | undefined): string[] =>
  verdict?.kind === 'seat' ? verdict.claims.map((claim) => claim.seat) : [];

/** Seats that a former policy had: their directories are still there. */
function leftovers(): string[] {
  const seats = join(runtime, 'seats');
  return existsSync(seats) ? readdirSync(seats) : [];
}
