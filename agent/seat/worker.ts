import type { Accounts } from '../core/access.js';
import { type Incarnation, isSame } from '../core/device.js';
import { hidDeviceOf, overhears } from '../core/hid.js';
import { leavingCards, type Part, parts } from '../core/plan.js';
import { type ActualSeat, type DesiredSeat, nodeKey, nodePath } from '../core/state.js';
import type { JournalEntry, Properties, Step } from '../core/step.js';
import type { Container } from '../engines/engine.js';
import { isLingering } from '../engines/process.js';
import { isPopulated } from '../kernel/cgroup.js';
import { patient } from '../kernel/holders.js';
import type { Namespaces } from '../kernel/namespaces.js';
import { noAccounts } from './accounts.js';
import { Untold } from './announcer.js';
import { Attachment, type Audience } from './attachment.js';
import { Executor, type ExecutorDeps, type Hold } from './executor.js';
import { graftsIn, missingGrafts } from './graft.js';
import { DeviceGone } from './grants.js';
import { type Graft, graftsOf, nodeClasses, standstillOf } from './layout.js';
import type { UdevWay } from './own-udev.js';
import { doubts, withoutKeepers } from './revoke.js';
import { goOn } from './standstill.js';

/** What the rest of the house hands to a seat. */
export interface SeatDeps extends ExecutorDeps {
  readonly namespaces: Namespaces;
  /** Whether a device is plugged now. */
  readonly present: (device: Incarnation) => boolean;
  /** Whether a unit still is this seat's to have, and in no other seat: asked anew right before it is given. */
  readonly mayHave: (unit: string) => boolean;
  /** Called after something left this seat for good, so that another seat may take it. */
  readonly released: () => void;
}

/** Whether a graphics card was let go is looked at this often while one is wanted elsewhere, ms. */
const lookAgain = 1000;

/** Back-off after a failed run, ms: first, and the longest. */
const retry = { first: 200, longest: 30_000 };

/**
 * One seat: compares what the seat shall have with what it has, and runs the difference, one step after the
 * other. Level-triggered: `trigger` says only that something may have changed; runs never overlap.
 */
export class SeatWorker {
  private desired: (accounts: Accounts) => DesiredSeat = () => ({ devices: [], unknown: [] });
  private grafts: readonly Graft[] = [];
  private container: Container | undefined;
  /** All that run, whosever they are. */
  private containers: readonly Container[] = [];
  private readonly hold: Hold = {
    attachment: undefined,
    lingering: undefined,
    seen: { nodes: new Map(), links: new Map(), records: new Map() },
    left: false,
  };
  private readonly executor: Executor;
  /** What others may have done to the directory and the grants is looked at by the next run. */
  private stale = true;
  private running: Promise<void> | undefined;
  /** When the run that is under way began, monotonic ms. */
  private began: number | undefined;
  private again = false;
  private backoff = 0;
  private retryTimer: NodeJS.Timeout | undefined;
  private problem: string | undefined;
  /** What cannot leave and who holds it, in words. */
  private blocked: string | undefined;
  private blockedTimer: NodeJS.Timeout | undefined;
  private closed = false;

  constructor(
    readonly seat: string,
    private readonly deps: SeatDeps,
  ) {
    this.executor = new Executor(seat, deps, this.hold);
  }

  /** What the seat shall look like, given its container's accounts; takes effect with the next trigger. */
  want(desired: (accounts: Accounts) => DesiredSeat, grafts: readonly Graft[]): void {
    this.desired = desired;
    this.grafts = grafts;
  }

  /** The container as its engine sees it now, undefined while it is not running, and all containers that run. */
  serve(container: Container | undefined, containers: readonly Container[]): void {
    this.container = container;
    this.containers = containers;
  }

  /** Whether a container has, or may still have, anything of this seat. */
  occupies({ key }: Container): boolean {
    return this.deps.journal.container === key;
  }

  /** Runs soon; the promise settles when the run that takes this trigger into account is over. */
  trigger(): Promise<void> {
    if (this.closed) return Promise.resolve();
    if (this.running !== undefined) {
      this.again = true;
      return this.running;
    }
    this.running = this.runAll();
    return this.running;
  }

  /** The next run looks at the container's mounts again. */
  expectChanges(): void {
    this.hold.attachment?.invalidate();
  }

  /** Reads the seat directory, the grants and the grafts again before the next run: what others did is noticed here. */
  recheck(): Promise<void> {
    this.stale = true;
    this.hold.attachment?.invalidate();
    return this.trigger();
  }

  /** Passes on what is no change of a device itself, if the seat has it: a monitor came or went. */
  tell(syspath: string, news: Properties): void {
    for (const entry of this.deps.journal.entries.values()) {
      if (entry.syspath !== syspath || entry.node === undefined || !this.hold.seen.nodes.has(nodeKey(entry.node)))
        continue;
      if (entry.knownTo === undefined || entry.knownTo !== this.hold.attachment?.container.key) continue;
      try {
        this.hold.attachment.announcer?.announce('change', { ...entry, properties: { ...entry.properties, ...news } });
      } catch (error) {
        this.deps.log.warn({ seat: this.seat, device: syspath, err: error }, 'the container was not told');
      }
    }
  }

  /** Whether any device of a unit is, or may still be read, in this seat: another seat has to wait for it. */
  holds(unit: string): boolean {
    const isRaw = hidDeviceOf(unit) !== undefined;
    for (const entry of this.deps.journal.entries.values()) {
      if (entry.unit === unit) return true;
      if ((isRaw || entry.node?.class === 'hidraw') && overhears(entry.unit, unit)) return true;
    }
    return false;
  }

  /** For how long the run that is under way has taken until now, ms; undefined while none is. */
  get busyMs(): number | undefined {
    return this.began === undefined ? undefined : performance.now() - this.began;
  }

  /** For status: what is bound, what is wrong. */
  report(): {
    container: Container | undefined;
    problem: string | undefined;
    deaf: readonly string[];
    /** Who is udev in the container; undefined while that is not known. */
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
    const former = this.former();
    if (this.blocked === undefined || former === undefined) return this.blocked;
    return `${this.blocked}: stop it, or container ${former.name}, which is no longer this seat's`;
  }

  /** Nothing is taken away: a stopped agent leaves every binding as it is. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.retryTimer);
    clearTimeout(this.blockedTimer);
    await this.running;
    this.hold.attachment?.close();
    this.deps.directory.close();
  }

  private async runAll(): Promise<void> {
    try {
      do {
        this.again = false;
        this.began = performance.now();
        this.conclude(await this.run().catch((error: Error) => [error]));
      } while (this.again && !this.closed);
    } finally {
      // In the very instant of the last look at `again`: whoever triggers after it starts a run of its own.
      this.running = undefined;
      this.began = undefined;
    }
  }

  /** What went wrong in a run is said, and tried again. */
  private conclude(errors: readonly Error[]): void {
    const { seat } = this;
    const failures = errors.filter((error) => !(error instanceof DeviceGone));
    for (const error of errors) {
      // The kernel is ahead of udevd; its message about the removal will bring us here again.
      if (error instanceof DeviceGone) this.deps.log.debug({ seat, err: error }, 'device went meanwhile');
    }
    if (failures.length === 0) {
      this.problem = undefined;
      this.backoff = 0;
      return;
    }
    this.problem = failures.map(({ message }) => message).join('; ');
    this.backoff = Math.min(this.backoff === 0 ? retry.first : this.backoff * 2, retry.longest);
    for (const error of failures) {
      this.deps.log.error({ seat, err: error, retryMs: this.backoff }, 'seat could not be brought up to date');
    }
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => void this.recheck(), this.backoff).unref();
  }

  /** Returns what went wrong: no unit's trouble is another's, and a container that can be given nothing still loses things. */
  private async run(): Promise<Error[]> {
    const errors: Error[] = [];
    this.hold.left = false;
    await this.bringUpToDate((error) => void errors.push(error as Error));
    if (this.hold.left) this.deps.released();
    return errors;
  }

  private async bringUpToDate(keep: (error: unknown) => void): Promise<void> {
    if (this.stale) {
      await goOn(standstillOf(this.seat)).catch(keep);
      this.hold.seen = this.deps.directory.read();
      this.deps.grants.reread();
      this.stale = false;
    }
    const former = this.former();
    if (former !== undefined && !(await this.leave(former, keep))) return;
    this.noticeEnd();
    if (!(await this.takeFromLingering(keep))) return;
    const ready = await this.attachContainer().then(
      () => true,
      (error) => {
        keep(error);
        return false;
      },
    );
    const desired = this.desired(this.hold.attachment?.accounts ?? noAccounts);
    this.hold.attachment?.complain(desired.unknown);
    const blocked = await this.findBlocked(desired);
    const planning = process.hrtime.bigint();
    const todo = parts(desired, { ...this.actual(), blocked });
    const started = process.hrtime.bigint();
    this.deps.measure('plan', Number(started - planning) / 1e9);
    const done: Part[] = [];
    for (const part of todo) {
      // Time has passed since the plan was made: a descriptor that is taken back can take seconds.
      if (part.what === 'come' && !(ready && this.isInPlace() && this.mayCome(part))) continue;
      await this.executor.perform(part).then(() => done.push(part), keep);
    }
    this.executor.logBindings(done, started);
  }

  /** Whether what is given now is given to the container that shall have it: the policy may be another by now. */
  private isInPlace(): boolean {
    return this.hold.attachment?.container.key === this.container?.key;
  }

  /**
   * Whether it still is this seat's to have, and still is what udevd spoke of: a device whose driver was bound anew has all
   * its names again before its removal is heard.
   */
  private mayCome({ unit, steps }: Part): boolean {
    const hasGone = (step: Step) =>
      step.step === 'intend' && step.entry.incarnation !== undefined && !this.deps.present(step.entry);
    return this.deps.mayHave(unit) && !steps.some(hasGone);
  }

  /** A container that runs on and is no longer this seat's: it got another name, or the policy names another one. */
  private former(): Container | undefined {
    return this.containers.find((other) => this.occupies(other) && other.key !== this.container?.key);
  }

  /**
   * Takes from a former container all that it was given, as from a seat that shall have nothing. Settles with whether it has
   * nothing any more: before that, nobody else gets any of it.
   */
  private async leave(former: Container, keep: (error: unknown) => void): Promise<boolean> {
    const { directory, namespaces, journal, log, tell } = this.deps;
    const attachment = this.attach(former);
    if (attachment.announcer === undefined) {
      const all = graftsOf(nodeClasses);
      const missing = await missingGrafts(namespaces, former, directory.path, all).catch(() => all);
      const there = all.filter((graft) => !missing.includes(graft));
      await attachment.ensure(former, there, this.audienceOf(former.key)).catch(keep);
    }
    if (await this.takeAll(keep)) {
      // What cannot be told of anything loses it all the same.
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
    // One that has kept a way to see what the seat gets from now on stays guarded.
    this.detach({ emptied: isEmptied });
    this.hold.left = true;
    return true;
  }

  /**
   * Processes may linger of a container that has ended. Before another container gets the seat, everything is taken back from
   * them. Settles with whether they have nothing any more.
   */
  private async takeFromLingering(keep: (error: unknown) => void): Promise<boolean> {
    const { lingering } = this.hold;
    if (lingering === undefined || this.container === undefined) return true;
    if (isLingering(lingering, this.container)) {
      await this.takeAll(keep);
      if (this.deps.journal.entries.size > 0) return false;
    }
    this.hold.lingering = undefined;
    return true;
  }

  /** Lets go of a container that has ended, and keeps in mind where processes of it may linger. */
  private noticeEnd(): void {
    const { attachment } = this.hold;
    if (attachment !== undefined && attachment.container.key !== this.container?.key) {
      const { name, cgroup } = attachment.container;
      this.deps.log.info({ seat: this.seat, container: name }, 'container is gone');
      this.deps.tell({ kind: 'container', seat: this.seat, container: name, state: 'went' });
      this.detach({ emptied: false });
      this.hold.lingering = cgroup;
    }
    if (this.hold.lingering !== undefined && !isPopulated(this.hold.lingering)) this.hold.lingering = undefined;
  }

  /** Takes away what can be; returns whether the container could not be told of some of it. */
  private async takeAll(keep: (error: unknown) => void): Promise<boolean> {
    const nothing: DesiredSeat = { devices: [], unknown: [] };
    const blocked = await this.findBlocked(nothing);
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
    journal.setContainer(container.key);
    this.hold.attachment = new Attachment(container, this.seat, directory.path, this.deps);
    return this.hold.attachment;
  }

  /** `emptied`: it is as if it had never been a seat's. */
  private detach({ emptied }: { emptied: boolean }): void {
    if (this.hold.attachment === undefined) return;
    this.deps.grants.drop(this.hold.attachment.container.cgroup, { emptied });
    this.hold.attachment.close();
    this.hold.attachment = undefined;
    this.deps.journal.setContainer(undefined);
  }

  private audienceOf(key: string): Audience {
    const { entries } = this.deps.journal;
    const { records } = this.hold.seen;
    return {
      // What lies in no grafted directory is not there yet.
      finds: () => [...entries.values()].filter(({ id, node }) => node?.class !== 'hidraw' && records.has(id)),
      knows: (found) =>
        this.noteAll((entry) =>
          found.some((one) => isSame(one, entry)) ? { knownTo: key, toldTo: key } : { toldTo: key },
        ),
      knowsNothing: () => this.noteAll(() => ({ knownTo: undefined, toldTo: undefined })),
    };
  }

  /** Follows the container: another init means other namespaces, another cgroup, other listeners. */
  private async attachContainer(): Promise<void> {
    const { container } = this;
    if (container === undefined) return;
    const came = this.hold.attachment === undefined;
    const attachment = this.attach(container);
    if (came) {
      this.deps.grants.reread();
      this.deps.tell({ kind: 'container', seat: this.seat, container: container.name, state: 'came' });
    }
    await attachment.ensure(container, this.grafts, this.audienceOf(container.key));
  }

  /** Of a container that started on top of its grafts: what it has read needs no announcement, what it may have read a removal. */
  private noteAll(newsOf: (entry: JournalEntry) => Pick<JournalEntry, 'toldTo'>): void {
    for (const entry of this.deps.journal.entries.values()) this.deps.journal.put({ ...entry, ...newsOf(entry) });
  }

  /** A card that Xorg draws on cannot be taken from it: it stays until it is let go, which nobody tells us of. */
  private async findBlocked(desired: DesiredSeat): Promise<ReadonlySet<string>> {
    const blocked = new Map<string, string>();
    const cgroup = this.hold.attachment?.container.cgroup;
    for (const [unit, nodes] of leavingCards(desired, this.deps.journal.entries, this.deps.present)) {
      const search = await this.deps.effects.findHolders(
        nodes.map(({ number }) => number),
        patient,
      );
      const others = withoutKeepers(search.holders, this.deps.keepers(unit));
      const held = others.map(({ command, pid }) => `held by ${command} (pid ${pid})`);
      const [why] = [...held, ...doubts(search, cgroup)];
      if (why !== undefined) blocked.set(unit, `${nodes.map(nodePath).join(' and ')} cannot leave: ${why}`);
    }
    const said = [...blocked.values()].join('; ');
    if (said !== '' && said !== this.blocked) this.deps.log.warn({ seat: this.seat, blocked: said }, 'blocked');
    this.blocked = said === '' ? undefined : said;
    clearTimeout(this.blockedTimer);
    if (blocked.size > 0) this.blockedTimer = setTimeout(() => void this.trigger(), lookAgain).unref();
    return new Set(blocked.keys());
  }

  private actual(): Omit<ActualSeat, 'blocked'> {
    const cgroup = this.hold.attachment?.container.cgroup;
    return {
      container: this.hold.attachment?.container.key,
      audience: this.hold.attachment?.announcer === undefined ? undefined : this.hold.attachment.container.key,
      grants: cgroup === undefined ? new Map() : this.deps.grants.of(cgroup),
      nodes: this.hold.seen.nodes,
      shown: this.hold.attachment?.shown.now,
      links: this.hold.seen.links,
      records: this.hold.seen.records,
      journal: this.deps.journal.entries,
      present: this.deps.present,
    };
  }
}
