import { release } from 'node:os';
import { setImmediate as turn } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Assignments } from '../assign/assignments.js';
import type { Audit, Deed } from '../core/audit.js';
import { classesOf } from '../core/classes.js';
import { desiredUnit } from '../core/desired.js';
import { liesAlone, type NodeClass, nodeClass, type Unit } from '../core/device.js';
import type { Measure, Tell } from '../core/happening.js';
import { lentTo } from '../core/loan.js';
import { hearing, isSplit } from '../core/outputs.js';
import { isSameContainer, type Policy, type Rule, type SeatPolicy } from '../core/policy.js';
import { type Scope, type Touched, whole } from '../core/scope.js';
import { unitOf } from '../core/units.js';
import type { Claim, Verdict } from '../core/verdict.js';
import type { Container } from '../engines/engine.js';
import { uidsOf } from '../engines/users.js';
import type { Namespaces } from '../kernel/namespaces.js';
import { newsOf } from '../udev/allow.js';
import { presentation } from '../udev/record.js';
import type { SlowAttributes } from '../udev/slow-attributes.js';
import type { UdevMessage } from '../udev/source.js';
import type { DeviceTable } from '../udev/table.js';
import { type Descriptors, noDescriptors } from './descriptors.js';
import type { Effects } from './effects.js';
import { type FilesOfSeats, usualFiles } from './files.js';
import type { Grants } from './grants.js';
import { type Graft, graftsOf } from './layout.js';
import type { Outlet } from './outlet.js';
import type { Wish } from './wishes.js';
import { SeatWorker } from './worker.js';

export interface SeatControllerDeps {
  readonly log: Logger;
  readonly table: DeviceTable;
  readonly grants: Grants;
  readonly namespaces: Namespaces;
  readonly effects: Effects;
  readonly tell: Tell;
  readonly audit: Audit;
  readonly measure: Measure;
  /** Gets attributes read that verdicts depend on; none are unless given. */
  readonly slow?: Pick<SlowAttributes, 'want' | 'why'>;
  /** Told of each unit that was judged, and how. */
  readonly along?: (unit: Unit, verdict: Verdict) => void;
  /** Whether a card is held for seats that have outputs of it: nobody gets its node meanwhile. */
  readonly isLeased?: (unit: string) => boolean;
  /** Called after seats were brought up to date. */
  readonly served?: () => void;
  /** Inputs that come as descriptors; none unless given. */
  readonly descriptors?: Descriptors;
  /** Groups of containers of which nobody can tell now who they are; none unless given. */
  readonly untold?: () => readonly string[];
  /** Where the files of seats are; their usual place unless given. */
  readonly files?: FilesOfSeats;
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
 * What acts on the assignments: the containers, and one worker a seat. Every method takes in one kind of news and returns
 * the seats that it may have changed; `serve` brings them up to date.
 */
export class SeatController {
  private readonly workers = new Map<string, SeatWorker>();
  private readonly grafts = new Map<string, readonly Graft[]>();
  /** Monotonic, ms: the clock on the wall may be set while a PC starts, which is when containers do. */
  private readonly youngUntil = new Map<string, number>();
  /** Classes of which a seat has got devices under this policy, also classes that its rules do not name. */
  private readonly came = new Map<string, Set<NodeClass>>();
  /** When something else than udev last changed the wanted devices of a seat (CLOCK_MONOTONIC, ns). */
  private readonly changed = new Map<string, bigint>();
  /** Seats that the policy gives descriptors, and who may connect there. */
  private receiving: ReadonlyMap<string, Pick<Rule, 'access'>> = new Map();
  private containers: readonly Container[] = [];
  /** Users whom the guard covers. */
  private restricted: ReadonlySet<string> = new Set();
  /** Why it does not cover all that it should, in words. */
  private unrestricted: string | undefined;
  /** The same of containers of which nobody can tell who they are. */
  private unconfined: readonly string[] = [];

  /** Which unit is whose. */
  readonly assignments: Assignments;

  private readonly files: FilesOfSeats;

  constructor(private readonly deps: SeatControllerDeps) {
    const { log, table, tell, along, slow, files = usualFiles } = deps;
    this.files = files;
    const isGuarded = (raw: Unit): boolean => this.isGuarded(raw);
    this.assignments = new Assignments({ log, table, tell, along, slow, kernel: release(), isGuarded });
  }

  /** Judges units again, after udev said something about them. */
  judge(changed: ReadonlySet<string>): Touched {
    return this.assignments.reevaluate(changed);
  }

  /** Hands on the news of the moment in a message, such as a monitor that came, to the seats that have the device. */
  tell(message: UdevMessage): void {
    if (message.kind !== 'event' || message.event.action !== 'change') return;
    const news = newsOf(message.event.properties);
    if (Object.keys(news).length === 0) return;
    const { syspath } = message.event;
    const id = unitOf('drm', syspath) ?? '';
    const verdict = this.assignments.judged.get(id);
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
    for (const { seat } of policy.seats) this.worker(seat);
    for (const seat of this.files.former()) this.worker(seat);
    const known = policy.seats.map(({ seat }) => this.containerOf(seat, policy));
    // A container that is no longer a seat's is guarded until everything is taken back from it.
    this.deps.grants.keep([...known, ...this.occupied()].flatMap((container) => container?.cgroup ?? []));
    this.restrict(policy);
    this.receiving = receiving(policy);
    this.came.clear();
    for (const seat of this.workers.keys()) this.changed.set(seat, process.hrtime.bigint());
    this.assignments.setPolicy(policy);
    this.grafts.clear();
    return whole(this.workers.keys());
  }

  /** Containers that have, or may still have, anything of a seat. */
  private occupied(): Container[] {
    return this.containers.filter((one) => [...this.workers.values()].some((worker) => worker.occupies(one)));
  }

  /** Users with containers that have, or may still have, something of a seat; undefined for root. */
  get tenants(): ReadonlySet<string | undefined> {
    return new Set([...this.workers.values()].flatMap(({ tenant }) => (tenant === undefined ? [] : [tenant.user])));
  }

  /** Restricts users who run a seat, or may still have something of one. Their uids are looked up again each time. */
  private restrict(policy = this.assignments.policy): void {
    // Until there is a policy, the guard goes on to forbid as the former agent told it.
    if (policy === undefined) return;
    const named = policy.seats.map(({ container }) => container.user);
    const users = new Set([...named, ...this.tenants].flatMap((user) => user ?? []));
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

  /** Who cannot be told may be anybody: until that is known, such a container opens nothing. */
  private confine(): void {
    // Any container may be a seat's while there is no policy.
    const { policy, seats } = this.assignments;
    const ofSeats = seats.flatMap(({ seat }) => this.containerOf(seat) ?? []);
    const kept = policy === undefined ? this.containers : [...ofSeats, ...this.occupied()];
    const cgroups = kept.map(({ cgroup }) => cgroup);
    const before = this.unconfined;
    const failed = this.deps.grants.confine(this.deps.untold?.() ?? [], cgroups);
    this.unconfined = [...failed].map(
      ([cgroup, { message }]) => `the guard of ${cgroup}, which nobody knows, cannot be changed: ${message}`,
    );
    // Tried again at each look.
    for (const problem of this.unconfined)
      if (!before.includes(problem)) this.deps.log.error({ problem }, 'the guard does not cover every container');
  }

  /** A raw node's major is the kernel's choice of the moment, and there may have been none when the guard was made. */
  private isGuarded({ id, head }: Unit): boolean {
    try {
      if (head.number !== undefined) this.deps.grants.cover(head.number.major);
      return true;
    } catch (error) {
      this.deps.log.error({ device: id, err: error }, 'the node cannot be guarded: nobody gets it');
      return false;
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
    this.confine();
    const touched = new Set<string>();
    for (const { seat, container } of this.assignments.seats) {
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

  /** Cards of which seats have outputs, and whether the holder may have them. */
  splitCards(): SplitCard[] {
    return this.assignments.splitCards().map(({ unit, claims }) => {
      const isFree = ![...this.workers.values()].some((worker) => worker.hasScreens(unit.id));
      return { unit, claims, isFree };
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
      return [{ seat, outlet: worker.seatd, rule, cgroup: this.cgroupOf(seat), container }];
    });
  }

  /** The group of the container that has the seat, or may still have anything of it; its processes may use the seat's sockets. */
  cgroupOf(seat: string): string | undefined {
    const cgroup = this.workers.get(seat)?.tenant?.cgroup;
    // A record of version 1 names none.
    return cgroup === '' ? undefined : cgroup;
  }

  /** The sockets of all seats at which devices are served; all seats that there are or were. */
  seatdOutlets(): Map<string, Outlet> {
    return new Map([...this.workers].map(([seat, worker]) => [seat, worker.seatd]));
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

  /** For status: every seat with its worker. */
  get seats(): readonly { readonly policy: SeatPolicy; readonly worker: SeatWorker }[] {
    return this.assignments.seats.map((policy) => ({ policy, worker: this.worker(policy.seat) }));
  }

  /** Another seat that has, or may still have, devices in a seat's container: it has to be done with it first. */
  occupantOf(seat: string, container = this.containerOf(seat)): string | undefined {
    if (container === undefined) return undefined;
    return [...this.workers].find(([other, worker]) => other !== seat && worker.occupies(container))?.[0];
  }

  /** Why seats, also former ones, lack devices that they must have. */
  problems(): string[] {
    const ofSeats = [...this.workers].flatMap(([seat, worker]) => {
      const { problem } = worker.report();
      return problem === undefined ? [] : [`${seat}: ${problem}`];
    });
    return [...(this.unrestricted === undefined ? [] : [this.unrestricted]), ...this.unconfined, ...ofSeats];
  }

  /** Seats that are being brought up to date, and for how long now, ms. */
  busy(): { readonly seat: string; readonly ms: number }[] {
    return [...this.workers].flatMap(([seat, { busyMs }]) => (busyMs === undefined ? [] : [{ seat, ms: busyMs }]));
  }

  async close(): Promise<void> {
    await Promise.all([...this.workers.values()].map((worker) => worker.close()));
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
    for (const id of this.assignments.ids(seat)) {
      const wish = this.wish(seat, id);
      if (wish !== undefined) wishes.set(id, wish);
    }
    return wishes;
  }

  private wish(seat: string, id: string): Wish | undefined {
    const grantee = this.assignments.granteeOf(seat, id);
    if (grantee === undefined || !this.mayHave(seat, id)) return undefined;
    this.noteClass(seat, nodeClass(grantee.unit.subsystem));
    return (accounts) => desiredUnit(grantee, accounts, presentation);
  }

  private noteClass(seat: string, name: NodeClass): void {
    const came = this.came.get(seat) ?? new Set();
    if (liesAlone(name) || came.has(name)) return;
    this.came.set(seat, came.add(name));
    this.grafts.delete(seat);
  }

  /** After something left a seat for good: others may have been waiting for it. */
  private freed(seat: string, scope: Scope): Touched {
    if (scope === 'all') return whole([...this.workers.keys()].filter((other) => other !== seat));
    return this.assignments.awaiting(scope, seat);
  }

  /** Whether the seat may have a unit now: nobody has a card's node while it is held for outputs. */
  private mayHave(seat: string, id: string): boolean {
    if (!this.assignments.mayHave(seat, id)) return false;
    return isSplit(this.assignments.judged.get(id)) || this.deps.isLeased?.(id) !== true;
  }

  /** Cgroups of the containers in which other seats have a device that they keep. */
  private keepers(seat: string, id: string): string[] {
    const tenants = this.assignments.tenants.of(id);
    return this.assignments.entitled(id).flatMap((other) => {
      const worker = this.workers.get(other);
      if (other === seat || worker === undefined || !tenants.has(other)) return [];
      return this.containers.flatMap((container) => (worker.occupies(container) ? [container.cgroup] : []));
    });
  }

  /**
   * Classes of devices that the seat's rules can match, that were given to it by hand, or of which it gets a device. A
   * class that has come once stays, so that a device that is plugged again finds it. Worked out once until one of these
   * changes.
   */
  private graftsOf(seat: string): readonly Graft[] {
    const known = this.grafts.get(seat);
    if (known !== undefined) return known;
    const { policy: inForce, seats } = this.assignments;
    const policy = seats.find((other) => other.seat === seat);
    const lent = inForce === undefined || policy === undefined ? [] : lentTo(inForce, policy);
    const classes =
      policy === undefined ? [] : [...classesOf(policy), ...lent.map(nodeClass), ...(this.came.get(seat) ?? [])];
    const grafts = graftsOf(new Set(classes));
    this.grafts.set(seat, grafts);
    return grafts;
  }

  private containerOf(seat: string, policy = this.assignments.policy): Container | undefined {
    const wanted = policy?.seats.find((other) => other.seat === seat)?.container;
    return wanted && this.containers.find((container) => isSameContainer(container, wanted));
  }

  /** The label of the rule by which a seat gets a unit. A unit that leaves may have none any more. */
  private labelOf(seat: string, { what, device }: Deed): string | undefined {
    const verdict = what === 'bind' && device !== undefined ? this.assignments.judged.get(device) : undefined;
    return verdict?.kind === 'seat' ? verdict.claims.find((claim) => claim.seat === seat)?.rule.label : undefined;
  }

  /** When a message was received, unless the present work is due to a later event. */
  private due(seat: string, received: bigint | undefined): bigint | undefined {
    return received !== undefined && received > (this.changed.get(seat) ?? 0n) ? received : undefined;
  }

  private worker(seat: string): SeatWorker {
    const known = this.workers.get(seat);
    if (known !== undefined) return known;
    const { log, table, grants, namespaces, effects, tell, audit, measure } = this.deps;
    const { descriptors = noDescriptors } = this.deps;
    const files = this.files.open(seat, log);
    files.journal.follow((unit, has) => this.assignments.tenants.note(seat, unit, has));
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
      released: (scope) => void this.serve(this.freed(seat, scope)),
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
