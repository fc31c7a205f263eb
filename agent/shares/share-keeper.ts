import { setImmediate as otherEvents } from 'node:timers/promises';
import type { Logger } from 'pino';
import {
  type ContainerRef,
  isSameContainer,
  type Policy,
  type Resource,
  resourceNames,
  type SeatPolicy,
} from '../core/policy.js';
import { type Amounts, correction, defaultPids, restoration, type Shares, sharesOf, together } from '../core/shares.js';
import type { Container } from '../engines/engine.js';
import { readGroup } from '../kernel/group-files.js';
import type { Namespaces } from '../kernel/namespaces.js';
import { type ProcessRef, processRef } from '../kernel/process-key.js';
import type { RecordFile } from '../kernel/record-file.js';
import { amountFiles, amountsOf, writesOf } from './amounts.js';
import type { PlacedSeat } from './compare.js';
import type { Former } from './former.js';
import { available, mostThreads, notAvailable } from './host.js';
import { askedOf, IncusShares } from './incus-shares.js';
import { KillOrder } from './kill-order.js';
import { above, meansOf, placeKey, type SharePlace, sharePlace } from './place.js';
import { amountsAt, placedSeat } from './placed.js';
import { seatShares } from './seat-shares.js';
import { forgetProperties, presentDropIns, setProperties } from './systemd.js';
import type { SeatShares } from './words.js';

export interface ShareKeeperDeps {
  /** Mount point of the cgroup2 hierarchy. */
  readonly root: string;
  readonly log: Logger;
  readonly namespaces: Pick<Namespaces, 'writeGroup'>;
  readonly record: RecordFile<Former>;
  /** Values of processes before ours, for the order in which the kernel ends programs. */
  readonly scores: RecordFile<number>;
}

/** The place of a seat's container, with the wanted amounts. */
interface Wanted {
  readonly place: SharePlace;
  readonly shares: Shares;
  readonly containers: readonly Container[];
}

/** The facts about a place between two runs. */
interface State {
  readonly problem?: string | undefined;
  /** Values that were written and had no effect: they are not written again. */
  readonly refused: ReadonlySet<Resource>;
}

/** Containers come in several steps: one run for all of them, ms. */
const gather = 100;

/**
 * Gives each seat its share of what all seats use. Nothing here is on the way of a device: a run is due after every
 * look at the containers and after every policy. It compares the amounts of a group with the wanted ones, and writes
 * the differences. Places do not wait for each other, and everything that is waited for has a deadline.
 */
export class ShareKeeper {
  private seats: readonly SeatPolicy[] | undefined;
  private containers: readonly Container[] = [];
  private readonly former: Map<string, Former>;
  private readonly states = new Map<string, State>();
  private readonly busy = new Set<string>();
  /** Places to look at again, because something changed while it was busy. */
  private readonly again = new Set<string>();
  private readonly incus: IncusShares;
  private readonly order: KillOrder;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly deps: ShareKeeperDeps) {
    this.former = deps.record.read();
    this.order = new KillOrder({ root: deps.root, log: deps.log, record: deps.scores });
    this.incus = new IncusShares({ ...deps, writeGroup: (...args) => this.writeGroup(...args) });
  }

  /** Takes a new policy. */
  adopt({ seats }: Pick<Policy, 'seats'>): void {
    this.seats = seats;
    this.order.adopt({ seats });
    void this.sweep();
    this.schedule();
  }

  /** Takes in which containers run now. */
  populate(containers: readonly Container[]): void {
    this.containers = containers;
    this.order.populate(containers);
    this.schedule();
  }

  /** Gives every place its wanted amounts, and places without a seat their former ones. */
  async run(): Promise<void> {
    if (this.seats === undefined) return;
    const wanted = this.wanted();
    for (const key of this.states.keys()) if (!wanted.has(key)) this.states.delete(key);
    const left = [...this.former].filter(([key]) => !wanted.has(key));
    const work: Promise<void>[] = [];
    // Between two places other events come first: a device does not wait for all of them.
    for (const [key, former] of left) {
      work.push(this.inTurn(key, () => this.restore(key, former)));
      await otherEvents();
    }
    for (const [key, one] of wanted) {
      work.push(this.inTurn(key, () => this.apply(key, one)));
      await otherEvents();
    }
    await Promise.all(work);
  }

  /** Puts back everything that was ever set, as if there had been no agent. Throws when something was not. */
  async putBack(): Promise<void> {
    this.seats = [];
    const disordered = await this.order.putBack().catch((error: Error) => error);
    await this.run();
    await this.incus.sweep([], this.containers);
    const left = [...this.former.values()].map(({ place }) => meansOf(place));
    const why = [...this.states.values()].flatMap(({ problem }) => problem ?? []);
    if (left.length > 0) throw new Error(`not put back: ${left.join(', ')}: ${why.join('; ')}`);
    if (disordered !== undefined) throw disordered;
  }

  /** The present shares of a seat; undefined while its container does not run. */
  of(seat: string): SeatShares | undefined {
    const policy = this.seats?.find((other) => other.seat === seat);
    const container = policy && this.containerOf(policy.container);
    if (policy === undefined || container === undefined) return undefined;
    const place = sharePlace(container, this.deps.root);
    const problem = this.states.get(placeKey(place))?.problem;
    return seatShares(this.deps.root, policy, place, { problem, endsFirst: this.order.isFirst(container) });
  }

  /** All seats whose containers run, with the places and amounts of their shares. */
  placed(): PlacedSeat[] {
    const { root } = this.deps;
    return (this.seats ?? []).flatMap(({ seat, container: reference }) => {
      const container = this.containerOf(reference);
      return container === undefined ? [] : [placedSeat(root, seat, reference, container)];
    });
  }

  close(): void {
    this.order.close();
    clearTimeout(this.timer);
  }

  private schedule(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.run();
    }, gather).unref();
  }

  private containerOf(reference: ContainerRef): Container | undefined {
    return this.containers.find((one) => isSameContainer(one, reference));
  }

  /** By place. While an engine sets a container up, it still writes there itself. */
  private wanted(): Map<string, Wanted> {
    const seats = this.seats ?? [];
    const pids = defaultPids(seats.length, mostThreads());
    const found = new Map<string, Wanted & { readonly each: readonly Shares[] }>();
    for (const policy of seats) {
      const container = this.containerOf(policy.container);
      if (container === undefined || container.state === 'setup') continue;
      const place = sharePlace(container, this.deps.root);
      const key = placeKey(place);
      const { each: others = [], containers = [] } = found.get(key) ?? {};
      const each = [...others, sharesOf(policy, pids)];
      found.set(key, { place, each, containers: [...containers, container], shares: together(each) });
    }
    return found;
  }

  private sweep(): Promise<void> {
    return this.inTurn('incus', () => this.incus.sweep(this.seats ?? [], this.containers));
  }

  /** One action at a time at each place. A failure is reported, and the next run tries again. */
  private async inTurn(key: string, work: () => Promise<void>): Promise<void> {
    if (this.busy.has(key)) {
      this.again.add(key);
      return;
    }
    this.busy.add(key);
    try {
      await work();
    } catch (error) {
      const { message } = error as Error;
      const state = this.states.get(key) ?? { refused: new Set() };
      if (state.problem !== message) this.deps.log.warn({ place: key, err: error }, 'shares not set');
      this.states.set(key, { ...state, problem: message });
    } finally {
      this.busy.delete(key);
      if (this.again.delete(key)) this.schedule();
    }
  }

  private async apply(key: string, { place, shares, containers }: Wanted): Promise<void> {
    const divided = available(this.deps.root);
    const missing = askedOf(shares).filter((name) => !divided.has(name));
    const others =
      place.kind === 'incus'
        ? await this.incus.apply(
            place,
            shares,
            containers.map((one) => one.key),
          )
        : await this.applyAt(key, place, shares, containers[0], divided);
    const problems = [...missing.map(notAvailable), ...others];
    const refused = this.states.get(key)?.refused ?? new Set<Resource>();
    this.states.set(key, { refused, problem: problems.length === 0 ? undefined : problems.join('; ') });
  }

  private async applyAt(
    key: string,
    place: Former['place'],
    shares: Shares,
    container: Container | undefined,
    divided: ReadonlySet<Resource>,
  ): Promise<string[]> {
    const { root, log } = this.deps;
    const before = readGroup(root, place.group, amountFiles);
    if (before === undefined) return [];
    const id = String(before.id);
    const known = this.former.get(key);
    // A unit keeps its properties over a restart; another group of the same path has nothing of ours.
    const had = known !== undefined && (place.kind === 'unit' || known.id === id) ? known.amounts : {};
    const refused = this.states.get(key)?.refused ?? new Set<Resource>();
    const writable = new Set([...divided].filter((name) => !refused.has(name)));
    const now = amountsOf(before.texts);
    // systemd turns the controllers off that no unit in a slice names, even if somebody else has turned them on: it is told all weights.
    const said = known === undefined && place.kind === 'unit' && place.own ? without(now, 'cpu', 'io') : now;
    const { write, former } = correction(shares, said, had, writable);
    const unsaid = without(write, ...resourceNames.filter((name) => had[name] !== undefined));
    const theirs = place.kind === 'unit' ? presentDropIns(place.unit, unsaid) : [];
    const kept = [...(known?.kept ?? []), ...theirs];
    if (Object.keys(write).length > 0) {
      // Before anything is written: an agent that ends in between leaves word of the former values.
      this.remember(key, { place, id, kept, amounts: { ...had, ...former } });
      if (place.kind === 'unit') {
        await setProperties(place.unit, write, { start: place.own });
        forgetProperties(
          place.unit,
          without(write, ...resourceNames.filter((name) => former[name] !== undefined)),
          kept,
        );
      } else await this.writeGroup(container, place.group, before.id, write);
      log.info({ place: key, shares: write }, 'shares set');
    }
    this.remember(key, { place, id, kept, amounts: former });
    const after = amountsAt(root, place.group);
    const failed = resourceNames.filter((name) => write[name] !== undefined && after[name] !== write[name]);
    const stuck = new Set([...refused, ...failed]);
    this.states.set(key, { refused: new Set([...stuck].filter((name) => after[name] === undefined)) });
    return askedOf(shares)
      .filter((name) => stuck.has(name))
      .map(
        (name) =>
          `${name} stays ${after[name] ?? 'not divided'} in ${place.group}, although Hotseat has written another value`,
      );
  }

  private async restore(key: string, { place, id, amounts, kept }: Former): Promise<void> {
    const { root, log } = this.deps;
    const found = readGroup(root, place.group, amountFiles);
    switch (place.kind) {
      case 'group': {
        if (found === undefined || String(found.id) !== id) break;
        const inside = this.containers.find(({ cgroup }) => cgroup === `${root}/${place.group}`);
        const back = restoration(amountsOf(found.texts), amounts);
        await this.writeGroup(inside, place.group, found.id, back);
        break;
      }
      case 'unit':
        // systemd knows nothing of a scope that has gone, but its properties still lie there.
        if (found !== undefined || !place.unit.endsWith('.scope')) {
          await setProperties(place.unit, amounts, { start: false });
        }
        forgetProperties(place.unit, amounts, kept);
        break;
    }
    log.info({ place: key, shares: amounts }, 'shares put back');
    this.remember(key, { place, id, kept, amounts: {} });
  }

  private async writeGroup(
    container: ProcessRef | undefined,
    path: string,
    id: bigint,
    amounts: Amounts,
  ): Promise<void> {
    // Whose time the helper takes; its files are found by descriptors from the root on.
    const whose = container ?? processRef(process.pid);
    if (whose === undefined) throw new Error('this process is not in /proc');
    await this.deps.namespaces.writeGroup(whose, {
      ...{ root: this.deps.root, group: { path, id }, above: above(path) },
      ...{ controllers: Object.keys(amounts), files: writesOf(amounts) },
    });
  }

  /** Nothing that was changed is nothing to remember. */
  private remember(key: string, former: Former): void {
    if (Object.keys(former.amounts).length === 0) this.former.delete(key);
    else this.former.set(key, former);
    this.deps.record.write(this.former);
  }
}

const without = (amounts: Amounts, ...names: readonly Resource[]): Amounts =>
  Object.fromEntries(Object.entries(amounts).filter(([name]) => !names.includes(name as Resource)));
