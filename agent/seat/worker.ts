import { closure, restricted } from '../core/closure.js';
import { type Incarnation, isRenderNode, isSame, liesAlone } from '../core/device.js';
import { Links } from '../core/links.js';
import { type Part, parts } from '../core/plan.js';
import type { Scope } from '../core/scope.js';
import { type ActualSeat, type DesiredSeat, nodeKey } from '../core/state.js';
import type { JournalEntry, Properties, Step } from '../core/step.js';
import type { Container } from '../engines/engine.js';
import { isLingering } from '../engines/process.js';
import { isPopulated } from '../kernel/cgroup.js';
import type { Namespaces } from '../kernel/namespaces.js';
import { inodeOf } from '../kernel/read.js';
import { noAccounts } from './accounts.js';
import { Untold } from './announcer.js';
import { Attachment, type Audience } from './attachment.js';
import { BlockedCards } from './blocked-cards.js';
import type { SeatSocketName } from './directory.js';
import { Executor, type ExecutorDeps, type Hold } from './executor.js';
import { graftsIn, missingGrafts } from './graft.js';
import { DeviceGone } from './grants.js';
import type { Tenant } from './journal.js';
import { type Graft, graftsOf, nodeClasses, standstillOf } from './layout.js';
import { Outlet } from './outlet.js';
import type { UdevWay } from './own-udev.js';
import { type Failure, Queue } from './queue.js';
import { goOn } from './standstill.js';
import { type Wish, Wishes } from './wishes.js';

/** The parts that the controller hands to a seat. */
export interface SeatDeps extends ExecutorDeps {
  readonly namespaces: Namespaces;
  /** Whether a device is plugged now. */
  readonly present: (device: Incarnation) => boolean;
  /** Whether a unit still is this seat's to have, and in no other seat: asked again right before it is given. */
  readonly mayHave: (unit: string) => boolean;
  /** Called after something left this seat for good, units or its container, so that another seat may take it. */
  readonly released: (scope: Scope) => void;
}

/** Keeps an error of a run; `unit`: the one that it is about, undefined: about the whole seat. */
type Keep = (error: unknown, unit?: string) => void;

type Actual = Omit<ActualSeat, 'blocked'>;

/**
 * One seat: compares its wanted state with its state, and runs the difference, one step after the other.
 * Level-triggered: `trigger` says only that something may have changed; runs never overlap.
 */
export class SeatWorker {
  private readonly wishes: Wishes = new Wishes();
  private grafts: readonly Graft[] = [];
  private container: Container | undefined;
  /** All that run, whosever they are. */
  private containers: readonly Container[] = [];
  private readonly hold: Hold = {
    attachment: undefined,
    seen: { nodes: new Map(), links: new Links(), records: new Map() },
    left: new Set(),
  };
  private readonly executor: Executor;
  /** The next run reads the directory and the grants again, which others may have changed. */
  private stale = true;
  private readonly queue = new Queue({
    run: (scope) => this.run(scope),
    over: (failures, outstanding, retryMs) => this.conclude(failures, outstanding, retryMs),
    again: () => void this.recheck(),
  });
  private problem: string | undefined;
  private readonly blocked: BlockedCards;

  constructor(
    readonly seat: string,
    private readonly deps: SeatDeps,
  ) {
    this.executor = new Executor(seat, deps, this.hold);
    const loser = () => this.executor.loser();
    this.blocked = new BlockedCards(seat, deps, loser, (units) => void this.trigger(units));
    deps.descriptors.resume(seat, deps.journal.entries.values());
  }

  /** How the seat must have a unit, undefined: not at all. Takes effect with the next trigger of it. */
  want(unit: string, wish: Wish | undefined): void {
    this.wishes.set(unit, wish);
  }

  /** The same for all units at once, and the classes of nodes that the seat can get any of. */
  wantAll(wishes: ReadonlyMap<string, Wish>, grafts: readonly Graft[]): void {
    this.wishes.setAll(wishes);
    this.graft(grafts);
  }

  /** The classes of nodes that the seat can get any of. */
  graft(grafts: readonly Graft[]): void {
    this.grafts = grafts;
  }

  /** The container as its engine sees it now, undefined while it is not running, and all containers that run. */
  serve(container: Container | undefined, containers: readonly Container[]): void {
    this.container = container;
    this.containers = containers;
  }

  /** The container that has, or may still have, anything of this seat; it may have ended. */
  get tenant(): Tenant | undefined {
    return this.deps.journal.tenant;
  }

  /** Whether a container has, or may still have, anything of this seat. */
  occupies({ key }: Container): boolean {
    return this.deps.journal.container === key;
  }

  /** Runs soon; the promise settles when the run that takes this trigger into account is over. */
  trigger(scope: Scope = 'all'): Promise<void> {
    return this.queue.add(scope);
  }

  /** The next run looks at the container's mounts again. */
  expectChanges(): void {
    this.hold.attachment?.invalidate();
  }

  /** Reads the grants again, and what `look` does. */
  recheck(): Promise<void> {
    this.deps.grants.reread();
    return this.look();
  }

  /** Reads the seat directory and the grafts again before the next run, and so notices changes by others. */
  look(): Promise<void> {
    this.stale = true;
    this.hold.attachment?.invalidate();
    return this.trigger();
  }

  /** Passes on news that do not change a device itself, if the seat has it: a monitor came or went. */
  tell(syspath: string, news: Properties): void {
    for (const entry of this.deps.journal.entries.values()) {
      const isThere =
        entry.node === undefined ? this.hold.seen.records.has(entry.id) : this.hold.seen.nodes.has(nodeKey(entry.node));
      if (entry.syspath !== syspath || !isThere) continue;
      if (entry.knownTo === undefined || entry.knownTo !== this.hold.attachment?.container.key) continue;
      try {
        this.hold.attachment.announcer?.announce('change', { ...entry, properties: { ...entry.properties, ...news } });
      } catch (error) {
        this.deps.log.warn({ seat: this.seat, device: syspath, err: error }, 'the container was not told');
      }
    }
  }

  /** For how long the run that is under way has taken until now, ms; undefined while none is. */
  get busyMs(): number | undefined {
    return this.queue.busyMs;
  }

  /** Whether the seat has, or may still have, a node by which a card shows pictures: the holder cannot be its master then. */
  hasScreens(unit: string): boolean {
    return this.deps.journal.index.ofUnit(unit).some(({ node }) => node !== undefined && !isRenderNode(node.name));
  }

  /** Where the seat's display server gets its lease of outputs. */
  get outlet(): Outlet {
    return this.outletFor('lease');
  }

  /** Where it opens devices that come as descriptors. */
  get seatd(): Outlet {
    return this.outletFor('seatd');
  }

  private outletFor(socket: SeatSocketName): Outlet {
    return new Outlet(this.deps.directory, () => this.hold.attachment?.accounts ?? noAccounts, socket);
  }

  /** Whether the seat has, or may still have, anything that comes as a descriptor. */
  get isServed(): boolean {
    return this.deps.journal.index.isServed;
  }

  /** For status: the bound devices, and everything that is wrong. */
  report(): {
    container: Container | undefined;
    problem: string | undefined;
    deaf: readonly string[];
    /** The udev of the container; undefined while that is not known. */
    udev: UdevWay | undefined;
    entries: readonly JournalEntry[];
  } {
    return {
      container: this.container,
      problem: this.problem ?? this.blockedBy() ?? this.hold.attachment?.mute,
      deaf: this.hold.attachment?.deaf ?? [],
      udev: this.hold.attachment?.udev,
      entries: [...this.deps.journal.entries.values()],
    };
  }

  private blockedBy(): string | undefined {
    const { words } = this.blocked;
    const former = this.former();
    if (words === '') return undefined;
    if (former === undefined) return words;
    return `${words}: stop it, or container ${former.name}, which is no longer this seat's`;
  }

  /** Nothing is taken away: a stopped agent leaves every binding as it is. */
  async close(): Promise<void> {
    this.blocked.close();
    await this.queue.close();
    this.hold.attachment?.close();
    this.deps.directory.close();
  }

  private conclude(failures: readonly Error[], outstanding: readonly Error[], retryMs: number): void {
    this.problem = outstanding.length === 0 ? undefined : outstanding.map(({ message }) => message).join('; ');
    for (const error of failures) {
      this.deps.log.error({ seat: this.seat, err: error, retryMs }, 'seat could not be brought up to date');
    }
  }

  /** Returns what went wrong: no unit's trouble is another's, and a container that can be given nothing still loses things. */
  private async run(scope: Scope): Promise<Failure[]> {
    const failures: Failure[] = [];
    const isLeft = await this.bringUpToDate(scope, (error, key) => void failures.push({ error: error as Error, key }));
    const left: Scope = isLeft ? 'all' : new Set(this.hold.left);
    this.hold.left.clear();
    if (left === 'all' || left.size > 0) this.deps.released(left);
    for (const { error } of failures) {
      // The kernel is ahead of udevd; its message about the removal will bring us here again.
      if (error instanceof DeviceGone) this.deps.log.debug({ seat: this.seat, err: error }, 'device went meanwhile');
    }
    return failures.filter(({ error }) => !(error instanceof DeviceGone));
  }

  /** Returns whether a container was left. */
  private async bringUpToDate(scope: Scope, keep: Keep): Promise<boolean> {
    const { container } = this.deps.journal;
    let isWhole = scope === 'all' || this.stale;
    if (this.stale) {
      await goOn(standstillOf(this.seat)).catch(keep);
      this.hold.seen = this.deps.directory.read();
      this.stale = false;
    }
    const former = this.former();
    if (former !== undefined && !(await this.leave(former, keep))) return false;
    this.noticeEnd();
    const isLeft = former !== undefined;
    if (!(await this.takeFromLingering(keep))) return isLeft;
    const isSettled = this.isSettled();
    isWhole ||= container !== this.container?.key || !isSettled;
    const ready = isSettled || (await this.attachContainer(keep));
    isWhole = this.wishes.workOut(this.hold.attachment?.accounts ?? noAccounts) || isWhole;
    this.hold.attachment?.complain(this.wishes.unknown);
    await this.bring(isWhole ? 'all' : scope, ready, keep);
    return isLeft;
  }

  /** Plans the steps for a scope and all connected units, and does them. */
  private async bring(scope: Scope, isReady: boolean, keep: Keep): Promise<void> {
    const { desired, actual, units } = this.view(scope);
    const blocked = await this.blocked.find(desired, actual.journal, units);
    const planning = process.hrtime.bigint();
    const todo = parts(desired, { ...actual, blocked });
    const started = process.hrtime.bigint();
    this.deps.measure('plan', Number(started - planning) / 1e9);
    this.deps.measure('units', units?.size ?? this.wishes.wanted.size);
    const done: Part[] = [];
    for (const part of todo) {
      // Time has passed since the plan was made: a descriptor that is taken back can take seconds.
      if (part.what === 'come' && !(isReady && this.isInPlace() && this.mayCome(part))) continue;
      await this.executor.perform(part).then(
        () => done.push(part),
        (error: unknown) => keep(error, part.unit),
      );
    }
    this.executor.logBindings(done, started);
  }

  /** The wanted state and the state of the seat; `units`: of these units only, undefined: of all. */
  private view(scope: Scope): { desired: DesiredSeat; actual: Actual; units: ReadonlySet<string> | undefined } {
    const seat = { wanted: this.wishes.wanted, entries: this.deps.journal.index, links: this.hold.seen.links };
    const actual = this.actual();
    if (scope === 'all') return { desired: seat.wanted.seat, actual, units: undefined };
    const units = closure(scope, seat);
    return { ...restricted(units, seat, actual), units };
  }

  /** Whether the present container is the wanted one, and still known: the policy, or the container, may be another by now. */
  private isInPlace(): boolean {
    return this.hold.attachment?.container.key === this.container?.key && this.container?.state !== 'unclear';
  }

  /**
   * Whether it still is this seat's to have, and still is what udevd spoke of: a device whose driver was bound again has all
   * its names again before its removal is heard.
   */
  private mayCome({ unit, steps }: Part): boolean {
    const hasGone = (step: Step) =>
      step.step === 'intend' && step.entry.incarnation !== undefined && !this.deps.present(step.entry);
    return this.deps.mayHave(unit) && !steps.some(hasGone);
  }

  /** A container that runs on and is no longer this seat's: it got another name, or the policy names another one. */
  private former(): Container | undefined {
    if (this.deps.journal.container === undefined || this.deps.journal.container === this.container?.key)
      return undefined;
    return this.containers.find((other) => this.occupies(other) && other.key !== this.container?.key);
  }

  /**
   * Takes from a former container all that it was given, as from a seat that must have nothing. Settles with whether it has
   * nothing any more: before that, nobody else gets any of it.
   */
  private async leave(former: Container, keep: Keep): Promise<boolean> {
    const { directory, namespaces, journal, log, tell } = this.deps;
    const attachment = this.attach(former);
    if (attachment.announcer === undefined) {
      const all = graftsOf(nodeClasses);
      const missing = await missingGrafts(namespaces, former, directory.path, all).catch(() => all);
      const there = all.filter((graft) => !missing.includes(graft));
      await attachment.ensure(former, there, this.audienceOf(former.key)).catch(keep);
    }
    if (await this.takeAll(keep)) {
      // A container that cannot be told of removals loses its devices all the same.
      attachment.close();
      await this.takeAll(keep);
    }
    if (journal.entries.size > 0) return false;
    const facts = { seat: this.seat, container: former.name };
    const grafts = (): Promise<string[]> => graftsIn(namespaces, former, [directory.path]);
    const isEmptied = await grafts()
      .then((targets) => namespaces.unmount(former, targets))
      .then(async () => (await grafts()).length === 0)
      .catch((error: unknown) => {
        log.warn({ ...facts, err: error }, 'its grafts could not be unmounted');
        return false;
      });
    log.info(facts, 'container is no longer the seat’s');
    tell({ kind: 'container', ...facts, state: 'went' });
    // A container that can still see the seat's later devices stays guarded.
    this.detach({ emptied: isEmptied });
    this.deps.journal.setTenant(undefined);
    return true;
  }

  /**
   * Processes may linger of a container that has ended, and a rootless user may have handed things on to others of his. Before
   * another container, or one of another user, gets the seat, everything is taken back. Settles with whether that is done.
   */
  private async takeFromLingering(keep: Keep): Promise<boolean> {
    const { tenant, entries } = this.deps.journal;
    if (tenant === undefined || this.container === undefined || tenant.key === this.container.key) return true;
    const isOthers = tenant.user !== undefined && tenant.user !== this.container.user;
    if (!isOthers && !isLingering(tenant.cgroup, this.container)) return true;
    await this.takeAll(keep);
    return entries.size === 0;
  }

  /**
   * Lets go of a container that has ended, perhaps while no agent ran. It stays on record while processes of it linger,
   * or its user may still have the seat's devices.
   */
  private noticeEnd(): void {
    const { attachment } = this.hold;
    const { journal } = this.deps;
    if (attachment !== undefined && attachment.container.key !== this.container?.key) {
      const { name } = attachment.container;
      this.deps.log.info({ seat: this.seat, container: name }, 'container is gone');
      this.deps.tell({ kind: 'container', seat: this.seat, container: name, state: 'went' });
      this.detach({ emptied: false });
    }
    const { tenant } = journal;
    if (tenant === undefined || tenant.key === this.container?.key) return;
    // It ended before this agent had anything of it: what a former one had granted is granted still.
    const group = inodeOf(tenant.cgroup);
    const isAnothers = this.containers.some(({ cgroup }) => cgroup === tenant.cgroup);
    if (attachment === undefined && group !== undefined && !isAnothers) this.deps.grants.drop(tenant.cgroup, group);
    const isThere = tenant.cgroup !== '' && isPopulated(tenant.cgroup);
    const hasUser = tenant.user !== undefined && journal.entries.size > 0;
    if (!isThere && !hasUser) journal.setTenant(undefined);
  }

  /** Takes away everything that can go; returns whether the container could not be told of some of it. */
  private async takeAll(keep: Keep): Promise<boolean> {
    const nothing: DesiredSeat = { devices: [], unknown: [] };
    const blocked = await this.blocked.find(nothing, this.deps.journal.entries, undefined);
    let isUntold = false;
    for (const part of parts(nothing, { ...this.actual(), blocked })) {
      await this.executor.perform(part).catch((error: unknown) => {
        isUntold ||= error instanceof Untold;
        keep(error);
      });
    }
    return isUntold;
  }

  private attach(container: Container): Attachment {
    const { directory, journal } = this.deps;
    if (this.hold.attachment?.container.key === container.key) return this.hold.attachment;
    this.hold.attachment?.close();
    const { key, cgroup, user } = container;
    journal.setTenant({ key, cgroup, user });
    this.hold.attachment = new Attachment(container, this.seat, directory.path, this.deps);
    return this.hold.attachment;
  }

  /** `emptied`: it is as if it had never been a seat's. */
  private detach({ emptied }: { emptied: boolean }): void {
    if (this.hold.attachment === undefined) return;
    this.hold.attachment.drop({ emptied });
    this.hold.attachment.close();
    this.hold.attachment = undefined;
  }

  private audienceOf(key: string): Audience {
    const { entries } = this.deps.journal;
    const { records } = this.hold.seen;
    return {
      // Nodes in no grafted directory are not there yet.
      finds: () => [...entries.values()].filter(({ id, node }) => !(node && liesAlone(node.class)) && records.has(id)),
      knows: (found) =>
        this.noteAll((entry) =>
          found.some((one) => isSame(one, entry)) ? { knownTo: key, toldTo: key } : { toldTo: key },
        ),
      knowsNothing: () => this.noteAll(() => ({ knownTo: undefined, toldTo: undefined })),
    };
  }

  /**
   * Follows the container: another init means other namespaces, another cgroup, other listeners. Settles with whether it can be
   * given anything.
   */
  private async attachContainer(keep: Keep): Promise<boolean> {
    const { container } = this;
    if (container === undefined) return true;
    const came = this.hold.attachment === undefined;
    try {
      const attachment = this.attach(container);
      if (came) {
        this.deps.grants.reread();
        this.deps.tell({ kind: 'container', seat: this.seat, container: container.name, state: 'came' });
      }
      await attachment.ensure(container, this.grafts, this.audienceOf(container.key));
      return true;
    } catch (error) {
      keep(error);
      return false;
    }
  }

  /** Whether the container needs nothing before a device is given: an event must not cost as much as a start. */
  private isSettled(): boolean {
    const { container, hold } = this;
    return container === undefined || hold.attachment?.isSettled(container, this.grafts) === true;
  }

  /**
   * For a container that started on top of its grafts: devices that it has read need no announcement; devices that it
   * may have read need a removal.
   */
  private noteAll(newsOf: (entry: JournalEntry) => Pick<JournalEntry, 'toldTo'>): void {
    for (const entry of this.deps.journal.entries.values()) this.deps.journal.put({ ...entry, ...newsOf(entry) });
  }

  private actual(): Actual {
    const cgroup = this.hold.attachment?.container.cgroup;
    return {
      container: this.hold.attachment?.container.key,
      audience: this.hold.attachment?.announcer === undefined ? undefined : this.hold.attachment.container.key,
      grants: cgroup === undefined ? new Map() : this.deps.grants.of(cgroup),
      nodes: this.hold.seen.nodes,
      shown: this.hold.attachment?.shown.now,
      links: this.hold.seen.links.all,
      records: this.hold.seen.records,
      journal: this.deps.journal.entries,
      present: this.deps.present,
    };
  }
}
