import { basename } from 'node:path';
import { pino } from 'pino';
import type { Audit } from '../../../agent/core/audit.js';
import { type DeviceNumber, numberText } from '../../../agent/core/device.js';
import type { Touched } from '../../../agent/core/scope.js';
import type { DeviceMap } from '../../../agent/kernel/device-map.js';
import { HeldUp } from '../../../agent/kernel/held-up.js';
import { patient, type Search } from '../../../agent/kernel/holders.js';
import type { Namespaces } from '../../../agent/kernel/namespaces.js';
import { RecordFile } from '../../../agent/kernel/record-file.js';
import { SeatController } from '../../../agent/seat/controller.js';
import type { Effects } from '../../../agent/seat/effects.js';
import { usualFiles } from '../../../agent/seat/files.js';
import { Grants } from '../../../agent/seat/grants.js';
import type { Journal } from '../../../agent/seat/journal.js';
import { guardRecord } from '../../../agent/seat/layout.js';
import type { Revocation } from '../../../agent/seat/revoke.js';
import { decode } from '../../../agent/udev/datagram.js';
import type { UdevMessage } from '../../../agent/udev/source.js';
import { DeviceTable } from '../../../agent/udev/table.js';
import { Inside, type Run } from './containers.js';
import { MortalDirectory, MortalJournal } from './files.js';
import { Crash, Life, type Meanwhile } from './life.js';
import { Order } from './order.js';
import { policyOf, type Wishes } from './wishes.js';
import type { World } from './world.js';

const log = pino({ level: 'silent' });

/** The parts of a run of the agent; with another class in the place of one, a fault is put in. */
export interface Parts {
  readonly Grants: typeof Grants;
  /** The findings of a search, as they reach it. */
  readonly found: (search: Search) => Search;
  /** The result of a revocation, as it reaches it. */
  readonly taken: (revocation: Revocation) => Revocation;
  /** Whether the kernel lists all who have a graphics card open. */
  readonly listsClients: boolean;
  /** Whether the kernel can take back descriptors of raw nodes. */
  readonly takesRawBack: boolean;
}

export const sound: Parts = {
  Grants,
  found: (search) => search,
  taken: (revocation) => revocation,
  listsClients: false,
  takesRawBack: true,
};

const isText = (value: unknown): value is string => typeof value === 'string';

/** One run of the agent: the real house, on a world of the model's, wired as in agent/main.ts and agent/pipeline.ts. */
export class Agent {
  readonly life: Life;
  readonly journals = new Map<string, Journal>();
  readonly house: SeatController;
  /** The policy in force. */
  wishes: Wishes | undefined;
  private readonly orders = new Map<string, Order>();
  private readonly table = new DeviceTable();
  private readonly grants: Grants;

  constructor(
    private readonly world: World,
    private readonly parts: Parts,
    meanwhile: Meanwhile,
  ) {
    this.life = new Life(meanwhile);
    const { containers, pc, map } = world;
    map.act = (run) => this.life.act(run);
    map.granting = (cgroup, number) => this.granting(cgroup, number);
    const inside = new Inside(containers, pc, this.life, (run, name) => this.showing(run, name));
    const namespaces: Pick<Namespaces, keyof Namespaces> = inside;
    const kernel: Pick<DeviceMap, keyof DeviceMap> = map;
    this.grants = new parts.Grants(kernel as DeviceMap, undefined, new RecordFile(guardRecord, isText));
    this.house = new SeatController({
      ...{
        log,
        grants: this.grants,
        table: this.table,
        namespaces: namespaces as Namespaces,
        effects: this.effects(inside),
      },
      ...{ tell: () => undefined, audit: this.audit, measure: () => undefined },
      files: { ...usualFiles, open: (seat) => this.filesOf(seat) },
    });
  }

  /** Grants of containers that went while nobody watched go first. */
  keep(): void {
    this.mortal(() => this.grants.keep(this.world.containers.running.map(({ cgroup }) => cgroup)));
  }

  /** Some of what udevd said is heard. */
  hear(count: number): void {
    for (const event of this.world.pc.messages.splice(0, count)) this.take({ kind: 'event', event });
  }

  /** The containers are looked at. */
  see(): void {
    this.serve(() => this.house.populate(this.world.containers.look()));
  }

  adopt(wishes: Wishes): void {
    this.wishes = wishes;
    this.serve(() => this.house.adopt(policyOf(wishes)));
  }

  /** Some of what udevd said may be lost: everything is read again. */
  resync(): void {
    this.take({ kind: 'resync', reason: 'start' });
  }

  /** Looks that are under way. */
  private looks = 0;

  /** The look of every 30 s. */
  look(): void {
    if (this.life.dead) return;
    this.looks += 1;
    const look = async (): Promise<void> => {
      this.house.judge(await this.table.readAgain());
      await this.house.recheck();
    };
    look()
      .catch((error: unknown) => {
        if (!(error instanceof Crash)) throw error;
      })
      .finally(() => {
        this.looks -= 1;
      });
  }

  get isBusy(): boolean {
    return this.house.busy().length > 0 || (this.looks > 0 && !this.life.dead);
  }

  private take(message: UdevMessage): void {
    this.serve(() => this.house.judge(this.table.take(message)));
  }

  private serve(news: () => Touched): void {
    this.mortal(() => void this.house.serve(news()));
  }

  /** Input from the engine, udevd or an admin cannot fail, but the agent can die of it. */
  private mortal(act: () => void): void {
    if (this.life.dead) return;
    try {
      act();
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
    }
  }

  private filesOf(seat: string): { directory: MortalDirectory; journal: MortalJournal } {
    const order = new Order(seat, this.world);
    const journal = new MortalJournal(seat, this.life, order);
    this.orders.set(seat, order);
    this.journals.set(seat, journal);
    return { directory: new MortalDirectory(seat, this.life, order), journal };
  }

  private granting(cgroup: bigint, number: DeviceNumber): void {
    const run = this.world.containers.running.find(({ id }) => id === cgroup);
    if (run === undefined) return;
    const [seat, order] = [...this.orders].find(([one]) => this.world.runOf(one) === run) ?? [];
    if (seat === undefined || order === undefined) {
      this.world.broken.push(`${numberText(number)} is granted to ${run.name}, which is no seat's`);
      return;
    }
    order.granting(run, number);
    this.world.giving(seat, run, number, this.wishes);
  }

  private showing(run: Run, name: string): void {
    for (const [seat, order] of this.orders) if (this.world.runOf(seat) === run) order.showing(run, name);
  }

  private search(numbers: readonly DeviceNumber[], isPatient: boolean): Search {
    const { world, parts } = this;
    const clients = parts.listsClients ? world.clients(numbers) : undefined;
    return parts.found({ ...world.search(numbers, isPatient), clients });
  }

  /** A request to a helper process, which may not answer in time. */
  private helped<T>(run: () => T): Promise<T> {
    return this.life.later(() => {
      const stall = this.world.stalls.shift();
      if (stall === undefined) return run();
      if (stall === 'done') run();
      throw new HeldUp('the helper does not answer');
    });
  }

  /** Doubts about others who may have kept something are on record. */
  private readonly audit: Audit = ({ what, device }) => {
    return ({ end, left = [], rebound }) => {
      const isSaid = what === 'revoke' && end === 'done' && left.length > 0 && rebound === undefined;
      if (isSaid && device !== undefined) this.world.excuse(device);
    };
  };

  private effects(inside: Inside): Effects {
    const { world, life, orders, parts } = this;
    return {
      findHolders: ({ nodes, keepers, limits }) =>
        this.helped(() => {
          const numbers = nodes.map(({ number }) => number);
          const search = this.search(numbers, limits === patient);
          return { ...search, holders: search.holders.filter(({ cgroup }) => !keepers.includes(cgroup)) };
        }),
      revoke: (nodes, loser) =>
        this.helped(() => {
          orders.get(basename(loser.mark))?.revoking(nodes);
          return parts.taken(world.revoke(nodes, loser, (numbers) => this.search(numbers, loser.patient === true)));
        }),
      rebind: (unit) => this.helped(() => world.rebind(unit)),
      sendUevent: (socket, datagram) =>
        life.act(() => {
          const { ACTION = '', DEVPATH = '' } = decode(datagram).properties;
          const run = inside.listeners(socket);
          for (const [seat, order] of orders) if (world.runOf(seat) === run) order.announcing(ACTION, DEVPATH);
          inside.hear(socket, ACTION, DEVPATH);
          if (run?.isEager === true && ACTION !== 'remove') world.open(run);
        }),
      injectUevent: () => {
        throw new Error('no container here runs a udevd');
      },
    };
  }
}
