import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { classesOf } from './core/classes.js';
import { type Decider, decider } from './core/decide.js';
import { desiredSeat, type Grantee } from './core/desired.js';
import type { Unit } from './core/device.js';
import type { Policy, SeatPolicy } from './core/policy.js';
import type { Verdict } from './core/verdict.js';
import type { Container } from './engines/engine.js';
import type { Namespaces } from './kernel/namespaces.js';
import { SeatDirectory } from './seat/directory.js';
import type { Grants } from './seat/grants.js';
import { Journal } from './seat/journal.js';
import { graftsOf, journalRoot, runtime } from './seat/layout.js';
import { SeatWorker } from './seat/worker.js';
import { presentation } from './udev/record.js';
import type { DeviceTable } from './udev/table.js';

export interface HouseDeps {
  readonly log: Logger;
  readonly table: DeviceTable;
  readonly grants: Grants;
  readonly namespaces: Namespaces;
}

/** A container's init may still mount over our grafts (systemd mounts /run) for this long after a change of state, ms. */
const young = 25_000;

/** An X server that runs as root opens these; owners by name follow each container's own /etc/group later. */
const nodeMode = 0o660;

/**
 * What is known between two triggers: the policy, a verdict for each unit, the containers, and one worker a seat.
 * Every method takes in one kind of news and returns the seats that it may have changed; `serve` brings them up to date.
 */
export class House {
  private policy: Policy | undefined;
  private decide: Decider | undefined;
  private readonly verdicts = new Map<string, Verdict>();
  private readonly workers = new Map<string, SeatWorker>();
  private readonly youngUntil = new Map<string, number>();
  private containers: readonly Container[] = [];

  constructor(private readonly deps: HouseDeps) {}

  /** Judges units anew, after udev said something about them. */
  judge(units: Iterable<string>): Set<string> {
    const touched = new Set<string>();
    for (const id of units) {
      for (const seat of this.seatsOf(id)) touched.add(seat);
      const unit = this.deps.table.unit(id);
      if (unit === undefined) this.verdicts.delete(id);
      else this.pronounce(unit);
      for (const seat of this.seatsOf(id)) touched.add(seat);
      for (const [seat, worker] of this.workers) if (worker.holds(id)) touched.add(seat);
    }
    return touched;
  }

  /** Takes a new policy as a whole. Seats that it no longer names are emptied. */
  adopt(policy: Policy): Set<string> {
    this.policy = policy;
    this.decide = decider(policy);
    for (const { seat } of policy.seats) this.worker(seat);
    for (const seat of leftovers()) this.worker(seat);
    this.verdicts.clear();
    for (const unit of this.deps.table.units()) this.pronounce(unit);
    return new Set(this.workers.keys());
  }

  /** Takes in which containers run now. */
  populate(containers: readonly Container[]): Set<string> {
    const before = new Map(this.containers.map((container) => [container.name, container]));
    this.containers = containers;
    const touched = new Set<string>();
    for (const { seat, container } of this.policy?.seats ?? []) {
      const was = before.get(container.name);
      const is = this.containerOf(seat);
      if (was?.key !== is?.key || was?.state !== is?.state) this.youngUntil.set(seat, Date.now() + young);
      if (is === undefined ? was === undefined : Date.now() > (this.youngUntil.get(seat) ?? 0)) continue;
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
    await Promise.all([...this.workers.keys()].map((seat) => this.prepared(seat)?.recheck()));
  }

  seatOfContainer(name: string): SeatPolicy | undefined {
    return this.policy?.seats.find((seat) => seat.container.name === name);
  }

  /** For status: every seat with its worker, and every verdict. */
  get seats(): readonly { readonly policy: SeatPolicy; readonly worker: SeatWorker }[] {
    return (this.policy?.seats ?? []).map((policy) => ({ policy, worker: this.worker(policy.seat) }));
  }

  get judged(): ReadonlyMap<string, Verdict> {
    return this.verdicts;
  }

  get revision(): string {
    return this.policy?.revision ?? 'none';
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
      const rules = verdict.claims.map(({ seat, rule }) => `${seat} (${rule.place.file}:${rule.place.line})`);
      this.deps.log.warn({ device: unit.id, rules }, 'two seats want one device: bound to neither');
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
    const ownership = { uid: container?.uid ?? 0, gid: container?.gid ?? 0, mode: nodeMode };
    worker.want(
      desiredSeat(this.grantees(seat), ownership, presentation),
      policy === undefined ? [] : graftsOf(classesOf(policy)),
    );
    worker.serve(container);
    return worker;
  }

  /** Units that this seat gets now: not those that still are in another seat and may not be in two (promise 1). */
  private grantees(seat: string): Grantee[] {
    const grantees: Grantee[] = [];
    for (const [id, verdict] of this.verdicts) {
      if (verdict.kind !== 'seat') continue;
      const claim = verdict.claims.find((other) => other.seat === seat);
      const unit = claim === undefined ? undefined : this.deps.table.unit(id);
      if (claim === undefined || unit === undefined) continue;
      const mine = verdict.claims.map((other) => other.seat);
      const held = [...this.workers].some(([other, worker]) => !mine.includes(other) && worker.holds(id));
      if (!held) grantees.push({ unit, claim });
    }
    return grantees.sort((a, b) => (a.unit.id < b.unit.id ? -1 : 1));
  }

  private containerOf(seat: string): Container | undefined {
    const wanted = this.policy?.seats.find((policy) => policy.seat === seat)?.container;
    return this.containers.find(({ engine, name }) => engine === wanted?.engine && name === wanted.name);
  }

  private worker(seat: string): SeatWorker {
    const known = this.workers.get(seat);
    if (known !== undefined) return known;
    const { log, table, grants, namespaces } = this.deps;
    const worker = new SeatWorker(seat, {
      log,
      directory: new SeatDirectory(seat),
      journal: new Journal(journalRoot(seat), (file, error) => log.error({ file, err: error }, 'journal entry lost')),
      grants,
      namespaces,
      present: (syspath) => table.has(syspath),
      receivedNs: (unit) => table.receivedNs(unit),
      released: () => void this.serve([...this.workers.keys()].filter((other) => other !== seat)),
    });
    this.workers.set(seat, worker);
    return worker;
  }
}

/** Seats that a former policy had: their directories are still there. */
function leftovers(): string[] {
  const seats = join(runtime, 'seats');
  return existsSync(seats) ? readdirSync(seats) : [];
}
