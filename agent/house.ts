import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Audit, Deed } from './core/audit.js';
import { classesOf } from './core/classes.js';
import { type Decider, decider } from './core/decide.js';
import { desiredSeat, type Grantee } from './core/desired.js';
import { type NodeClass, nodeClass, type Unit } from './core/device.js';
import type { Measure, Tell } from './core/happening.js';
import { hidDeviceOf } from './core/hid.js';
import { lentTo } from './core/loan.js';
import { type ContainerRef, type EngineName, lineOf, type Policy, type SeatPolicy } from './core/policy.js';
import type { Verdict } from './core/verdict.js';
import type { Container } from './engines/engine.js';
import { uidsOf } from './engines/users.js';
import { Hidraws } from './hidraws.js';
import type { Namespaces } from './kernel/namespaces.js';
import { type Effects, effects as kernels } from './seat/effects.js';
import { type SeatFiles, seatFiles } from './seat/files.js';
import type { Grants } from './seat/grants.js';
import { graftsOf, runtime } from './seat/layout.js';
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
  readonly tell: Tell;
  readonly audit: Audit;
  readonly measure: Measure;
  /** This machine's kernel unless given. */
  readonly effects?: Effects;
  /** Opens the files of a seat; those in their usual place unless given. */
  readonly filesOf?: (seat: string, log: Logger) => SeatFiles;
}

/** A container's init may still mount over our grafts (systemd mounts /run) for this long after a change of state, ms. */
const young = 25_000;

/**
 * What is known between two triggers: the policy, a verdict for each unit, the containers, and one worker a seat.
 * Every method takes in one kind of news and returns the seats that it may have changed; `serve` brings them up to date.
 */
export class House {
  private policy: Policy | undefined;
  private decide: Decider | undefined;
  private readonly verdicts = new Map<string, Verdict>();
  private readonly workers = new Map<string, SeatWorker>();
  /** Monotonic, ms: the clock on the wall may be set while a PC starts, which is when containers do. */
  private readonly youngUntil = new Map<string, number>();
  /** When something else than udev last changed what a seat shall have (CLOCK_MONOTONIC, ns). */
  private readonly changed = new Map<string, bigint>();
  private containers: readonly Container[] = [];
  /** What comes along with inputs instead of being judged. */
  readonly hidraws: Hidraws;

  constructor(private readonly deps: HouseDeps) {
    this.hidraws = new Hidraws(deps, (unit) => this.verdicts.get(unit));
  }

  /** Judges units anew, after udev said something about them. */
  judge(units: ReadonlySet<string>): Set<string> {
    const touched = new Set<string>();
    for (const id of units) {
      for (const seat of this.seatsOf(id)) touched.add(seat);
      const unit = this.deps.table.unit(id);
      if (unit === undefined) this.verdicts.delete(id);
      else this.pronounce(unit);
      for (const seat of this.seatsOf(id)) touched.add(seat);
      for (const [seat, worker] of this.workers) if (worker.holds(id)) touched.add(seat);
    }
    for (const seat of this.hidraws.place(units)) touched.add(seat);
    return touched;
  }

  /** Hands on the news of the moment in a message, such as a monitor that came, to whoever has the device. */
  tell(message: UdevMessage): void {
    if (message.kind !== 'event' || message.event.action !== 'change') return;
    const news = newsOf(message.event.properties);
    if (Object.keys(news).length === 0) return;
    for (const worker of this.workers.values()) worker.tell(message.event.syspath, news);
  }

  /** Takes a new policy as a whole. Seats that it no longer names are emptied. */
  adopt(policy: Policy): Set<string> {
    this.policy = policy;
    this.decide = decider(policy);
    for (const { seat } of policy.seats) this.worker(seat);
    for (const seat of leftovers()) this.worker(seat);
    const known = policy.seats.map(({ seat }) => this.containerOf(seat));
    // A container that is no longer a seat's is guarded until everything is taken back from it.
    this.deps.grants.keep([...known, ...this.occupied()].flatMap((container) => container?.cgroup ?? []));
    this.restrict();
    this.verdicts.clear();
    for (const unit of this.deps.table.units()) this.pronounce(unit);
    for (const seat of this.workers.keys()) this.changed.set(seat, process.hrtime.bigint());
    this.hidraws.placeAll();
    return new Set(this.workers.keys());
  }

  /** Containers that have, or may still have, anything of a seat. */
  private occupied(): Container[] {
    return this.containers.filter((one) => [...this.workers.values()].some((worker) => worker.occupies(one)));
  }

  /** Restricts users who run a seat, or may still have something of one. Their uids are looked up again each time. */
  private restrict(): void {
    // Until there is a policy, the guard forbids what the former agent made it forbid.
    if (this.policy === undefined) return;
    const containers = [...this.policy.seats.map(({ container }) => container), ...this.occupied()];
    const users = new Set(containers.flatMap(({ user }) => user ?? []));
    this.deps.grants.restrict([...users].flatMap(uidsOf));
  }

  /** Takes in which containers run now. */
  populate(containers: readonly Container[]): Set<string> {
    const before = new Map(this.containers.map((container) => [reference(container), container]));
    this.containers = containers;
    this.restrict();
    const touched = new Set<string>();
    for (const { seat, container } of this.policy?.seats ?? []) {
      const was = before.get(reference(container));
      const is = this.containerOf(seat);
      if (was?.key !== is?.key || was?.state !== is?.state) this.youngUntil.set(seat, performance.now() + young);
      if (is === undefined ? was === undefined : performance.now() > (this.youngUntil.get(seat) ?? 0)) continue;
      this.changed.set(seat, process.hrtime.bigint());
      this.worker(seat).expectChanges();
      touched.add(seat);
    }
    return touched;
  }

  /** Hands the seats what they shall have; settles when each has it, or has said why not. */
  async serve(seats: Iterable<string>): Promise<void> {
    await Promise.all([...seats].map((seat) => this.prepared(seat)?.trigger()));
  }

  /** As `serve` for every seat, after looking at everything again: heals what no event told of. */
  async recheck(): Promise<void> {
    this.restrict();
    await Promise.all([...this.workers.keys()].map((seat) => this.prepared(seat)?.recheck()));
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
    return [...this.workers].flatMap(([seat, worker]) => (worker.holds(unit) ? [seat] : []));
  }

  get revision(): string {
    return this.policy?.revision ?? 'none';
  }

  /** What keeps seats, also those that the policy no longer names, from what they shall have. */
  problems(): string[] {
    return [...this.workers].flatMap(([seat, worker]) => {
      const { problem } = worker.report();
      return problem === undefined ? [] : [`${seat}: ${problem}`];
    });
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
    const verdict = this.decide(unit);
    const before = this.verdicts.get(unit.id);
    this.verdicts.set(unit.id, verdict);
    if (verdict.kind === 'conflict' && before?.kind !== 'conflict') {
      const rules = verdict.claims.map(({ seat, rule }) => `${seat} (${lineOf(rule.place)})`);
      this.deps.log.warn({ device: unit.id, rules }, 'two seats want one device: bound to neither');
      this.deps.tell({ kind: 'conflict', device: unit.id, rules });
    }
  }

  private seatsOf(unit: string): string[] {
    const verdict = this.verdicts.get(unit);
    return verdict?.kind === 'seat' ? verdict.claims.map((claim) => claim.seat) : [];
  }

  private prepared(seat: string): SeatWorker | undefined {
    const worker = this.workers.get(seat);
    const policy = this.policy?.seats.find((other) => other.seat === seat);
    const container = this.containerOf(seat);
    if (worker === undefined) return undefined;
    if (container !== undefined && !worker.occupies(container)) this.guard(container);
    const grantees = this.grantees(seat);
    worker.want(
      (accounts) => desiredSeat(grantees, accounts, presentation),
      policy === undefined ? [] : graftsOf(this.classes(policy)),
    );
    worker.serve(this.occupantOf(seat, container) === undefined ? container : undefined, this.containers);
    return worker;
  }

  /** At once: the seat's run, which guards what it serves, may have to take back first what another container had. */
  private guard({ cgroup }: Container): void {
    try {
      this.deps.grants.guard(cgroup);
    } catch (error) {
      // It has ended by now, or the seat's run will say what is wrong.
      this.deps.log.debug({ cgroup, err: error }, 'not guarded');
    }
  }

  /** Units that this seat gets now: not those that still are in another seat and may not be in two (promise 1). */
  private grantees(seat: string): Grantee[] {
    const grantees: Grantee[] = [];
    for (const [id, verdict] of this.verdicts) {
      const claim = verdict.kind === 'seat' ? verdict.claims.find((other) => other.seat === seat) : undefined;
      const unit = claim === undefined ? undefined : this.deps.table.unit(id);
      if (claim !== undefined && unit !== undefined && this.mayHave(seat, id)) grantees.push({ unit, claim });
    }
    grantees.sort((a, b) => (a.unit.id < b.unit.id ? -1 : 1));
    // Last: where one cannot be mounted in the container, everything else is there already.
    return [...grantees, ...this.hidraws.of(seat).filter(({ unit }) => this.mayHave(seat, unit.id))];
  }

  /** Whether a unit, or a raw node, is for this seat, and neither is nor can still be read in one that it is not for. */
  private mayHave(seat: string, id: string): boolean {
    const seats = this.entitled(id);
    return seats.includes(seat) && (this.keeps(seat, id) || !this.isHeld(id, seats));
  }

  /** Whether a seat has what it may share: it keeps that while another seat is losing it. */
  private keeps(seat: string, id: string): boolean {
    const verdict = this.verdicts.get(id);
    const isShared = verdict?.kind === 'seat' && verdict.claims.every(({ rule }) => rule.share);
    return isShared && this.workers.get(seat)?.holds(id) === true;
  }

  private entitled(id: string): string[] {
    return hidDeviceOf(id) === undefined ? this.seatsOf(id) : this.hidraws.seatsOf(id);
  }

  /** Cgroups of the containers in which other seats have a device that they keep. */
  private keepers(seat: string, id: string): string[] {
    return this.entitled(id).flatMap((other) => {
      const worker = this.workers.get(other);
      if (other === seat || worker?.holds(id) !== true) return [];
      return this.containers.flatMap((container) => (worker.occupies(container) ? [container.cgroup] : []));
    });
  }

  /** Whether a device is, or can still be read, in another seat than these. */
  private isHeld(id: string, seats: readonly string[]): boolean {
    return [...this.workers].some(([other, worker]) => !seats.includes(other) && worker.holds(id));
  }

  /** What the seat's rules are about, and what was given to it by hand. */
  private classes(seat: SeatPolicy): Set<NodeClass> {
    const lent = this.policy === undefined ? [] : lentTo(this.policy, seat);
    return new Set([...classesOf(seat), ...lent.map(nodeClass)]);
  }

  private containerOf(seat: string): Container | undefined {
    const wanted = this.policy?.seats.find((policy) => policy.seat === seat)?.container;
    return wanted && this.containers.find((container) => reference(container) === reference(wanted));
  }

  /** The label of the rule by which a seat gets a unit; what leaves it may have none any more. */
  private labelOf(seat: string, { what, device }: Deed): string | undefined {
    const verdict = what === 'bind' && device !== undefined ? this.verdicts.get(device) : undefined;
    return verdict?.kind === 'seat' ? verdict.claims.find((claim) => claim.seat === seat)?.rule.label : undefined;
  }

  /** When a message was received, unless what is done now is due to something that came after it. */
  private due(seat: string, received: bigint | undefined): bigint | undefined {
    return received !== undefined && received > (this.changed.get(seat) ?? 0n) ? received : undefined;
  }

  private worker(seat: string): SeatWorker {
    const known = this.workers.get(seat);
    if (known !== undefined) return known;
    const { log, table, grants, namespaces, tell, audit, measure, effects = kernels, filesOf = seatFiles } = this.deps;
    const worker = new SeatWorker(seat, {
      ...filesOf(seat, log),
      log,
      effects,
      grants,
      namespaces,
      tell,
      audit: (deed) => audit({ ...deed, rule: this.labelOf(seat, deed) }),
      measure,
      present: (device) => table.isPlugged(device),
      receivedNs: (unit) => this.due(seat, table.receivedNs(unit)),
      mayHave: (unit) => this.mayHave(seat, unit),
      keepers: (unit) => this.keepers(seat, unit),
      released: () => void this.serve([...this.workers.keys()].filter((other) => other !== seat)),
    });
    this.workers.set(seat, worker);
    return worker;
  }
}

/** Engines do not share their names, and neither do users: only all of it together is one container. */
const reference = ({ engine, name, user }: ContainerRef): string => `${engine} ${user ?? ''} ${name}`;

/** Seats that a former policy had: their directories are still there. */
function leftovers(): string[] {
  const seats = join(runtime, 'seats');
  return existsSync(seats) ? readdirSync(seats) : [];
}
