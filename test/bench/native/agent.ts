// The agent in process, wired as in agent/main.ts, and what can be seen of it. Of this bench the only file that knows the
// agent's rooms: who moves them changes this one.

import { join } from 'node:path';
import { pino } from 'pino';
import { NEVER, Subject, type Subscription } from 'rxjs';
import { Trail } from '../../../agent/audit/trail.js';
import { decider } from '../../../agent/core/decide.js';
import { desiredSeat, type Grantee } from '../../../agent/core/desired.js';
import { parts } from '../../../agent/core/plan.js';
import type { Policy } from '../../../agent/core/policy.js';
import type { Touched } from '../../../agent/core/scope.js';
import type { ActualSeat } from '../../../agent/core/state.js';
import type { Container } from '../../../agent/engines/engine.js';
import { logStream } from '../../../agent/host/journal.js';
import { lookup } from '../../../agent/kernel/bpf.js';
import { cgroupId } from '../../../agent/kernel/cgroup.js';
import { DeviceMap } from '../../../agent/kernel/device-map.js';
import { grantKey, valueSize } from '../../../agent/kernel/grant-program.js';
import { sendUevent } from '../../../agent/kernel/netlink.js';
import { RecordFile } from '../../../agent/kernel/record-file.js';
import { pipeline } from '../../../agent/pipeline.js';
import { compose } from '../../../agent/policy/load.js';
import { noAccounts } from '../../../agent/seat/accounts.js';
import { SeatController } from '../../../agent/seat/controller.js';
import { Grants } from '../../../agent/seat/grants.js';
import { guardRecord, makeRuntime, seatRoot } from '../../../agent/seat/layout.js';
import { encode } from '../../../agent/udev/datagram.js';
import { presentation } from '../../../agent/udev/record.js';
import { type UdevMessage, UdevSource } from '../../../agent/udev/source.js';
import { DeviceTable } from '../../../agent/udev/table.js';
import { warmUp } from '../../../agent/warm-up/warm-up.js';
import { hands } from '../../namespace/hands.js';
import type { Said } from './keyboards.js';

/** When something was done, CLOCK_MONOTONIC in ns. */
type Stamp = bigint;

const now = (): Stamp => process.hrtime.bigint();
const ms = (from: Stamp, to: Stamp): number => Number(to - from) / 1e6;
const isText = (value: unknown): value is string => typeof value === 'string';

export interface Wish {
  readonly seat: string;
  /** ID_PATH of what it asks for, a rule each. */
  readonly ports: readonly string[];
}

/** A house that says when everything has been served that was asked of it, and how long judging took. */
class WatchedHouse extends SeatController {
  private served: Promise<unknown> = Promise.resolve();
  judgedNs = 0n;

  override judge(...units: Parameters<SeatController['judge']>): ReturnType<SeatController['judge']> {
    const began = now();
    const seats = super.judge(...units);
    this.judgedNs += now() - began;
    return seats;
  }

  override serve(...touched: Parameters<SeatController['serve']>): Promise<void> {
    const serving = super.serve(...touched);
    this.served = Promise.all([this.served, serving]);
    return serving;
  }

  /** Settles when nothing is under way any more. */
  async idle(): Promise<void> {
    for (let last: unknown; last !== this.served; ) {
      last = this.served;
      await this.served;
    }
  }
}

export class Agent {
  /** When each datagram was sent into a container, and what left a seat for good. */
  readonly announced: { readonly at: Stamp; readonly datagram: Buffer }[] = [];
  readonly gone: Stamp[] = [];
  /** When each message had come over the udev process, and when that process had it. */
  readonly heard: { readonly at: Stamp; readonly inChild: Stamp }[] = [];
  /** How long plans took, all together, ns. */
  plannedNs = 0;
  private readonly messages = new Subject<UdevMessage>();
  private readonly adopted = new Subject<Touched>();
  private readonly containers = new Subject<readonly Container[]>();
  private readonly log = pino({ name: 'hotseat', level: 'info' }, logStream(1, process.env));
  private readonly hands = hands();
  private readonly table = new DeviceTable();
  private readonly map: DeviceMap;
  private readonly house: WatchedHouse;
  private readonly trail: Trail;
  /** Ids of the containers' groups, by seat. */
  private readonly groups = new Map<string, bigint>();
  private source: UdevSource | undefined;
  private flow: Subscription | undefined;

  /** `root`: group that all containers are below; `trailFile`: where the audit trail is. */
  constructor(root: string, trailFile: string) {
    const { log, table } = this;
    const { namespaces, effects } = this.hands;
    makeRuntime();
    this.trail = new Trail({ file: trailFile, log, revision: () => 'unversioned', group: undefined });
    this.map = DeviceMap.open({ cgroupRoot: root });
    this.house = new WatchedHouse({
      ...{ log, namespaces, table, audit: this.trail.open },
      grants: new Grants(this.map, undefined, new RecordFile(guardRecord, isText)),
      tell: ({ kind }) => void (kind === 'unbound' && this.gone.push(now())),
      measure: (what, seconds) => {
        if (what === 'plan') this.plannedNs += seconds * 1e9;
      },
      effects: {
        ...effects,
        sendUevent: (socket, datagram, credentials) => {
          effects.sendUevent(socket, datagram, credentials);
          this.announced.push({ at: now(), datagram });
        },
      },
    });
  }

  /** Settles when every seat has what it must have. */
  async start(wishes: readonly Wish[], containers: readonly Container[]): Promise<void> {
    await this.hands.namespaces.start();
    for (const { name, cgroup } of containers) this.groups.set(name, cgroupId(cgroup));
    const sources = { udev: this.messages, read: NEVER, adopted: this.adopted, containers: this.containers };
    this.flow = pipeline(sources, this.table, this.house).subscribe();
    this.messages.next({ kind: 'resync', reason: 'start' });
    this.containers.next(containers);
    this.adopted.next(this.house.adopt(policyOf(wishes)));
    await this.house.idle();
    const problems = this.house.problems();
    if (problems.length > 0) throw new Error(problems.join('\n'));
    await warmUp(this.log);
  }

  /** Has the udev process listen in this process's own network namespace. */
  async listen(): Promise<void> {
    if (this.source !== undefined) return;
    this.source = new UdevSource({ log: this.log });
    this.source.messages.subscribe((message) => {
      if (message.kind === 'resync') return;
      this.heard.push({ at: now(), inChild: BigInt(message.event.receivedNs) });
      this.messages.next(message);
    });
    await this.source.start();
  }

  /** Hands it messages as the udev process would in one batch. */
  tell(all: readonly Said[]): void {
    const receivedNs = String(now());
    for (const { action, syspath, tags, properties } of all) {
      const event = { action, syspath, receivedNs, properties: { ...properties, ...tagsOf(tags), ACTION: action } };
      this.messages.next({ kind: 'event', event });
    }
  }

  /**
   * The messages that `send` multicasts to libudev's group: made beforehand, so that sending costs what it costs udevd.
   */
  static datagrams(all: readonly Said[]): Buffer[] {
    return all.map(({ action, tags, properties }) => encode(action, properties, tags));
  }

  static send(socket: number, datagram: Buffer): void {
    sendUevent(socket, datagram, { uid: 0, gid: 0 });
  }

  idle(): Promise<void> {
    return this.house.idle();
  }

  /** The pipeline's look of every 30 s. */
  async look(): Promise<void> {
    this.house.judge(await this.table.readAgain());
    await this.house.recheck();
  }

  /** Time spent until now with judging and planning, ns. */
  get pureNs(): number {
    return Number(this.house.judgedNs) + this.plannedNs;
  }

  /**
   * Whether a seat's container has a number granted in the kernel. The whole map would be a megabyte, read between any two
   * measured events: they would be measured with an empty cache.
   */
  isGranted(seat: string, major: number, minor: number): boolean {
    const number = { major, minor };
    const grant = lookup(this.map.fd, grantKey(this.groups.get(seat) ?? 0n, number), valueSize);
    const generation = lookup(this.map.fd, grantKey(0n, number), valueSize);
    return grant !== undefined && generation !== undefined && grant.equals(generation);
  }

  static nodeOf(seat: string, name: string): string {
    return join(seatRoot(seat), 'dev/input', name);
  }

  static recordOf(seat: string, id: string): string {
    return join(seatRoot(seat), 'udev/data', id);
  }

  async close(): Promise<void> {
    this.flow?.unsubscribe();
    this.source?.stop();
    await this.house.close();
    this.hands.namespaces.close();
    this.trail.close();
    this.map.remove();
    this.map.close();
  }
}

/** Judges all units that there are, and plans all seats from nothing, as often as said; ms each. */
export function decideAll(wishes: readonly Wish[], count: number): number[] {
  const table = new DeviceTable();
  table.take({ kind: 'resync', reason: 'start' });
  const policy = policyOf(wishes);
  return Array.from({ length: count }, () => {
    const began = now();
    const units = table.units();
    const decide = decider(policy);
    const bySeat = new Map<string, Grantee[]>(policy.seats.map(({ seat }) => [seat, []]));
    for (const unit of units) {
      const verdict = decide(unit);
      if (verdict.kind === 'seat') for (const claim of verdict.claims) bySeat.get(claim.seat)?.push({ unit, claim });
    }
    let steps = 0;
    for (const grantees of bySeat.values())
      steps += parts(desiredSeat(grantees, noAccounts, presentation), nothing).length;
    if (steps !== units.length) throw new Error(`${units.length} units, and ${steps} plans`);
    return ms(began, now());
  });
}

/** A seat that has nothing yet. */
const nothing: ActualSeat = {
  ...{ container: 'x', audience: 'x', shown: undefined, present: () => true, blocked: new Set<string>() },
  ...{ nodes: new Map(), links: new Map(), records: new Map(), journal: new Map(), grants: new Map() },
};

function policyOf(wishes: readonly Wish[]): Policy {
  const texts = wishes.map(({ seat, ports }) => ({
    name: `${seat}.yaml`,
    text: JSON.stringify({
      ...{ seat, container: { engine: 'lxc', name: seat } },
      devices: ports.map((port) => ({ label: port, match: { ID_PATH: port } })),
    }),
  }));
  const loaded = compose(texts, 'unversioned', 'bench');
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
  return loaded.policy;
}

function tagsOf(tags: readonly string[]): Record<string, string> {
  const text = `:${tags.join(':')}:`;
  return tags.length === 0 ? {} : { TAGS: text, CURRENT_TAGS: text };
}
