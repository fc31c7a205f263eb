import type { Logger } from 'pino';
import type { Accounts } from '../core/access.js';
import { type Audit, onRecord } from '../core/audit.js';
import { numberText } from '../core/device.js';
import type { Measure, Tell } from '../core/happening.js';
import { hidDeviceOf, overhears } from '../core/hid.js';
import { leavingCards, type Part, parts } from '../core/plan.js';
import { type ActualSeat, type DesiredSeat, nodeKey, nodePath } from '../core/state.js';
import { isTidying, type JournalEntry, type NodeSpec, type Properties, type Step } from '../core/step.js';
import type { Container } from '../engines/engine.js';
import type { Namespaces } from '../kernel/namespaces.js';
import { holders } from '../kernel/pidfd.js';
import { noAccounts } from './accounts.js';
import type { Announcer } from './announcer.js';
import { Attachment, type Audience } from './attachment.js';
import { deedOf, factsOf, numbersGiven } from './deeds.js';
import type { Contents, SeatDirectory } from './directory.js';
import { graftsIn, missingGrafts } from './graft.js';
import { DeviceGone, type Grants } from './grants.js';
import type { Journal } from './journal.js';
import { type Graft, graftsOf, nodeClasses, standstillOf } from './layout.js';
import type { UdevWay } from './own-udev.js';
import { rebind } from './rebind.js';
import { revoke } from './revoke.js';
import { goOn } from './standstill.js';

/** What the rest of the house hands to a seat. */
export interface SeatDeps {
  readonly log: Logger;
  readonly directory: SeatDirectory;
  readonly journal: Journal;
  readonly grants: Grants;
  readonly namespaces: Namespaces;
  readonly tell: Tell;
  readonly audit: Audit;
  readonly measure: Measure;
  /** Whether a device exists now, by syspath. */
  readonly present: (syspath: string) => boolean;
  /** Monotonic time in ns at which udevd's message about a unit was received, when this run is due to one. */
  readonly receivedNs: (unit: string) => bigint | undefined;
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
 * One seat's executor: compares what the seat shall have with what it has, and runs the difference, one step after the
 * other. Level-triggered: `trigger` says only that something may have changed; runs never overlap.
 */
export class SeatWorker {
  private desired: (accounts: Accounts) => DesiredSeat = () => ({ devices: [], unknown: [] });
  private grafts: readonly Graft[] = [];
  private container: Container | undefined;
  /** All that run, whosever they are. */
  private containers: readonly Container[] = [];
  private attachment: Attachment | undefined;
  private seen: Contents = { nodes: new Map(), links: new Map(), records: new Map() };
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
  /** Something left for good in the run that is under way. */
  private left = false;
  private closed = false;

  constructor(
    readonly seat: string,
    private readonly deps: SeatDeps,
  ) {}

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

  /** Whether this seat is served in this run of a container now. */
  isIn({ key }: Container): boolean {
    return this.attachment?.container.key === key;
  }

  /** Whether a container has, or may still have, anything of this seat. */
  occupies({ key }: Container): boolean {
    return this.occupied().has(key);
  }

  /** The group of the container that has what this seat has. */
  get cgroupInUse(): string | undefined {
    return this.attachment?.container.cgroup;
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
    this.attachment?.invalidate();
  }

  /** Reads the seat directory, the grants and the grafts again before the next run: what others did is noticed here. */
  recheck(): Promise<void> {
    this.stale = true;
    this.attachment?.invalidate();
    return this.trigger();
  }

  /** Passes on what is no change of a device itself, if the seat has it: a monitor came or went. */
  tell(syspath: string, news: Properties): void {
    for (const entry of this.deps.journal.entries.values()) {
      if (entry.syspath !== syspath || entry.node === undefined || !this.seen.nodes.has(nodeKey(entry.node))) continue;
      if (entry.knownTo === undefined || entry.knownTo !== this.attachment?.container.key) continue;
      try {
        this.attachment.announcer?.announce('change', { ...entry, properties: { ...entry.properties, ...news } });
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
      problem: this.problem ?? this.blocked ?? this.attachment?.mute,
      deaf: this.attachment?.deaf ?? [],
      udev: this.attachment?.udev,
      entries: [...this.deps.journal.entries.values()],
    };
  }

  /** Nothing is taken away: a stopped agent leaves every binding as it is. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.retryTimer);
    clearTimeout(this.blockedTimer);
    await this.running;
    this.attachment?.close();
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
    this.left = false;
    await this.bringUpToDate((error) => void errors.push(error as Error));
    if (this.left) this.deps.released();
    return errors;
  }

  private async bringUpToDate(keep: (error: unknown) => void): Promise<void> {
    if (this.stale) {
      await goOn(standstillOf(this.seat)).catch(keep);
      this.seen = this.deps.directory.read();
      this.deps.grants.reread();
      this.stale = false;
    }
    const former = this.former();
    if (former !== undefined && !(await this.leave(former, keep))) return;
    const ready = await this.attachContainer().then(
      () => true,
      (error) => {
        keep(error);
        return false;
      },
    );
    const desired = this.desired(this.attachment?.accounts ?? noAccounts);
    this.attachment?.complain(desired.unknown);
    const blocked = this.findBlocked(desired);
    const planning = process.hrtime.bigint();
    const todo = parts(desired, { ...this.actual(), blocked });
    const started = process.hrtime.bigint();
    this.deps.measure('plan', Number(started - planning) / 1e9);
    const done: Part[] = [];
    for (const part of todo) {
      // Time has passed since the plan was made: a descriptor that is taken back can take seconds.
      if (part.what === 'come' && !(ready && this.deps.mayHave(part.unit))) continue;
      await this.perform(part).then(() => done.push(part), keep);
    }
    this.logBindings(done, started);
  }

  /** Keys of the containers that were given anything and may still have it. */
  private occupied(): ReadonlySet<string | undefined> {
    const told = [...this.deps.journal.entries.values()].map(({ knownTo }) => knownTo);
    return new Set([this.attachment?.container.key, ...told]);
  }

  /** A container that runs on and is no longer this seat's: it got another name, or the policy names another one. */
  private former(): Container | undefined {
    const keys = this.occupied();
    return this.containers.find(({ key }) => key !== this.container?.key && keys.has(key));
  }

  /**
   * Takes from a former container all that it was given, as from a seat that shall have nothing. Settles with whether it has
   * nothing any more: before that, nobody else gets any of it.
   */
  private async leave(former: Container, keep: (error: unknown) => void): Promise<boolean> {
    const { directory, namespaces, log, tell } = this.deps;
    const nothing: DesiredSeat = { devices: [], unknown: [] };
    if (this.attachment?.container.key !== former.key) {
      this.attachment?.close();
      this.attachment = new Attachment(former, this.seat, directory.path, this.deps);
      const all = graftsOf(nodeClasses);
      const missing = missingGrafts(former.pid, directory.path, all);
      const there = all.filter((graft) => !missing.includes(graft));
      await this.attachment.ensure(former, there, this.audienceOf(former.key)).catch(keep);
    }
    const blocked = this.findBlocked(nothing);
    for (const part of parts(nothing, { ...this.actual(), blocked })) await this.perform(part).catch(keep);
    if (this.deps.journal.entries.size > 0) return false;
    // Denied and taken back, it can do nothing with what it sees there: one that cannot be unmounted holds nobody up.
    const facts = { seat: this.seat, container: former.name };
    await namespaces
      .unmount(former.pid, graftsIn(former.pid, [directory.path]))
      .catch((error: unknown) => log.warn({ ...facts, err: error }, 'its grafts could not be unmounted'));
    log.info(facts, 'container is another’s now');
    tell({ kind: 'container', ...facts, state: 'went' });
    this.detach();
    this.left = true;
    return true;
  }

  private detach(): void {
    if (this.attachment === undefined) return;
    this.deps.grants.drop(this.attachment.container.cgroup);
    this.attachment.close();
    this.attachment = undefined;
  }

  private audienceOf(key: string): Audience {
    return { knowsAll: () => this.nowKnown(key), knowsNothing: () => this.nowKnown(undefined) };
  }

  /** What gives or takes is on record before it begins, and how it ended behind it. */
  private async perform(part: Part): Promise<void> {
    const deed = deedOf(part, this.deps.journal.entries.values());
    const close = deed && this.deps.audit({ ...deed, ...this.place() });
    try {
      if (part.what === 'come') for (const step of part.steps) await this.execute(step);
      else await this.takeAway(part.steps);
      close?.({ end: 'done' });
    } catch (error) {
      close?.({ end: error instanceof DeviceGone ? 'gone' : 'failed', error: (error as Error).message });
      throw error;
    }
  }

  /**
   * Every step of a removal is tried, whatever became of the others: a container can keep its own directories from being
   * tidied up, but by that no descriptor from being taken back. What lies about is a stray to the next run; what was not
   * denied, told of and taken back is not forgotten.
   */
  private async takeAway(steps: readonly Step[]): Promise<void> {
    const litter: Error[] = [];
    const owed: Error[] = [];
    for (const step of steps) {
      if (step.step === 'forget' && owed.length > 0) break;
      try {
        await this.execute(step);
      } catch (error) {
        (isTidying(step) ? litter : owed).push(error as Error);
      }
    }
    const [first] = [...owed, ...litter];
    if (first !== undefined) throw first;
  }

  private place(): { seat: string; container: string | undefined } {
    return { seat: this.seat, container: this.attachment?.container.name };
  }

  /** Follows the container: another init means other namespaces, another cgroup, other listeners. */
  private async attachContainer(): Promise<void> {
    const { container } = this;
    if (this.attachment !== undefined && this.attachment.container.key !== container?.key) {
      const { name } = this.attachment.container;
      this.deps.log.info({ seat: this.seat, container: name }, 'container is gone');
      this.deps.tell({ kind: 'container', seat: this.seat, container: name, state: 'went' });
      this.detach();
    }
    if (container === undefined) return;
    if (this.attachment === undefined) {
      this.attachment = new Attachment(container, this.seat, this.deps.directory.path, this.deps);
      this.deps.tell({ kind: 'container', seat: this.seat, container: container.name, state: 'came' });
    }
    await this.attachment.ensure(container, this.grafts, this.audienceOf(container.key));
  }

  /** A container that started on top of its grafts has read everything from there; it needs no announcements. */
  private nowKnown(key: string | undefined): void {
    for (const entry of this.deps.journal.entries.values()) {
      // What lies in no grafted directory was not there yet.
      if (key === undefined || entry.node?.class !== 'hidraw') this.deps.journal.put({ ...entry, knownTo: key });
    }
  }

  /** A card that Xorg draws on cannot be taken from it: it stays until it is let go, which nobody tells us of. */
  private findBlocked(desired: DesiredSeat): ReadonlySet<string> {
    const blocked = new Map<string, string>();
    for (const [unit, nodes] of leavingCards(desired, this.deps.journal.entries, this.deps.present)) {
      const [holder] = holders(nodes.map(({ number }) => number)).holders;
      if (holder === undefined) continue;
      const names = nodes.map(nodePath).join(' and ');
      blocked.set(unit, `${names} cannot leave: held by ${holder.command} (pid ${holder.pid})`);
    }
    const said = [...blocked.values()].join('; ');
    if (said !== '' && said !== this.blocked) this.deps.log.warn({ seat: this.seat, blocked: said }, 'blocked');
    this.blocked = said === '' ? undefined : said;
    clearTimeout(this.blockedTimer);
    if (blocked.size > 0) this.blockedTimer = setTimeout(() => void this.trigger(), lookAgain).unref();
    return new Set(blocked.keys());
  }

  private actual(): Omit<ActualSeat, 'blocked'> {
    const cgroup = this.attachment?.container.cgroup;
    return {
      container: this.attachment?.container.key,
      audience: this.attachment?.announcer === undefined ? undefined : this.attachment.container.key,
      grants: cgroup === undefined ? new Map() : this.deps.grants.of(cgroup),
      nodes: this.seen.nodes,
      shown: this.attachment?.shown.now,
      links: this.seen.links,
      records: this.seen.records,
      journal: this.deps.journal.entries,
      present: this.deps.present,
    };
  }

  private async execute(step: Step): Promise<void> {
    const { directory, journal, grants, log } = this.deps;
    switch (step.step) {
      case 'intend':
        this.intend(step.entry);
        return;
      case 'grant':
        grants.grant(this.cgroup(), step.number, step.syspath);
        return;
      case 'deny':
        grants.deny(this.cgroup(), step.number);
        return;
      case 'node':
        directory.makeNode(step.node);
        this.seen.nodes.set(nodeKey(step.node), step.node);
        return;
      case 'show':
        await this.show(step.id, step.node);
        return;
      case 'hide':
        await this.attachment?.shown.hide(step.name, step.placeholder);
        return;
      case 'unlink':
        directory.removeNode(step.class, step.name);
        this.seen.nodes.delete(nodeKey(step));
        this.seen.links.delete(nodeKey(step));
        return;
      case 'link':
        directory.makeLink(step.link);
        this.seen.links.set(nodeKey(step.link), step.link);
        return;
      case 'record':
        directory.writeRecord(step.record);
        this.seen.records.set(step.record.id, step.record.text);
        return;
      case 'unrecord':
        directory.removeRecord(step.id);
        this.seen.records.delete(step.id);
        return;
      case 'announce':
        this.announcer().announce(step.action, step.entry);
        // Of the entry as it is by now: showing a node has left a note in it. What was told to go and could not be taken
        // back is told of again if it stays after all.
        this.note(step.entry.id, { knownTo: step.action === 'remove' ? undefined : this.attachment?.container.key });
        return;
      case 'revoke':
        await this.revoke(step);
        return;
      case 'forget':
        this.tellOf('unbound', journal.entries.get(step.id));
        journal.delete(step.id);
        this.left = true;
        return;
      default:
        log.fatal({ step: step satisfies never }, 'unknown step');
    }
  }

  /** What has not left for good under the same id is not forgotten over its successor. */
  private intend(entry: JournalEntry): void {
    const former = this.deps.journal.entries.get(entry.id);
    if (former !== undefined && former.syspath !== entry.syspath) {
      throw new Error(`${entry.syspath} has to wait until ${former.syspath} has left`);
    }
    this.deps.journal.put(entry);
  }

  /** Shows a node that lies in no grafted directory. */
  private async show(id: string, node: NodeSpec): Promise<void> {
    const former = this.deps.journal.entries.get(id)?.placeholder;
    const bind = await this.attachment?.shown.show(node, this.deps.directory.openNode(node), former);
    this.note(id, { placeholder: bind?.placeholder });
    if (bind?.covers === undefined) return;
    const facts = { seat: this.seat, container: this.attachment?.container.name, device: nodePath(node) };
    this.deps.log.warn({ ...facts, covers: bind.covers }, 'shown over what stood there');
  }

  private note(id: string, news: Partial<Pick<JournalEntry, 'knownTo' | 'placeholder'>>): void {
    const entry = this.deps.journal.entries.get(id);
    if (entry !== undefined) this.deps.journal.put({ ...entry, ...news });
  }

  private async revoke(step: Extract<Step, { step: 'revoke' }>): Promise<void> {
    const { log, audit, journal } = this.deps;
    const entries = [...journal.entries.values()].filter(({ unit }) => unit === step.unit);
    await onRecord(
      audit,
      { what: 'revoke', ...factsOf(step.unit, entries), ...this.place() },
      async () => {
        const { revoked, left } = await revoke(step.nodes, this.attachment?.container.cgroup, standstillOf(this.seat));
        const facts = { seat: this.seat, unit: step.unit, revoked };
        if (left.length === 0 && !step.hard) {
          log.info(facts, 'descriptors taken back');
          return { revoked };
        }
        const usb = this.bindAnew(step, left);
        log.warn({ ...facts, left, usb }, 'driver unbound and bound again, because revocation could not be complete');
        return { revoked, left, anew: usb };
      },
      (outcome) => outcome,
    );
  }

  private bindAnew({ unit, nodes }: Extract<Step, { step: 'revoke' }>, left: readonly string[]): string {
    try {
      return rebind(unit, nodes[0]?.class ?? 'input');
    } catch (error) {
      const why = (error as Error).message;
      throw new Error(left.length === 0 ? why : `${left.join(', ')}: it moves when they let it go (${why})`);
    }
  }

  /** One line for each node that was given or granted now; what merely changed its description is no binding. */
  private logBindings(done: readonly Part[], started: bigint): void {
    const numbers = numbersGiven(done);
    if (numbers.size === 0) return;
    for (const entry of this.deps.journal.entries.values()) {
      if (entry.node === undefined || !numbers.has(numberText(entry.node.number))) continue;
      const received = this.deps.receivedNs(entry.unit);
      const ms = milliseconds(received ?? started);
      if (received !== undefined) this.deps.measure('announce', ms / 1000);
      this.deps.log.info(
        {
          ...this.place(),
          device: nodePath(entry.node),
          number: numberText(entry.node.number),
          rule: entry.rule,
          ms,
          from: received === undefined ? 'reconciliation' : 'udev',
        },
        'bound',
      );
      this.tellOf('bound', entry);
    }
  }

  private tellOf(kind: 'bound' | 'unbound', entry: JournalEntry | undefined): void {
    if (entry?.node === undefined) return;
    const container = this.attachment?.container.name;
    this.deps.tell({ kind, seat: this.seat, container, device: nodePath(entry.node), rule: entry.rule });
  }

  private cgroup(): string {
    if (this.attachment === undefined) throw new Error(`seat ${this.seat} has no container to grant anything to`);
    return this.attachment.container.cgroup;
  }

  private announcer(): Announcer {
    const announcer = this.attachment?.announcer;
    if (announcer === undefined) throw new Error(`seat ${this.seat} has no container that listens`);
    return announcer;
  }
}

const milliseconds = (since: bigint): number => Number((process.hrtime.bigint() - since) / 1000n) / 1000;
