import type { Logger } from 'pino';
import { type Audit, onRecord } from '../core/audit.js';
import { type DeviceNumber, isSame, numberId, numberText } from '../core/device.js';
import type { Measure, Tell } from '../core/happening.js';
import type { Part } from '../core/plan.js';
import { nodeKey, nodePath } from '../core/state.js';
import { isTidying, type JournalEntry, type NodeSpec, nodeOf, type Step } from '../core/step.js';
import { uidsOf } from '../engines/users.js';
import { HeldUp } from '../kernel/held-up.js';
import type { Announcer } from './announcer.js';
import type { Attachment } from './attachment.js';
import { deedOf, factsOf, numbersGiven } from './deeds.js';
import type { Descriptors } from './descriptors.js';
import type { Contents, SeatDirectory } from './directory.js';
import type { Effects } from './effects.js';
import { DeviceGone, type Grants } from './grants.js';
import type { Journal } from './journal.js';
import { standstillOf } from './layout.js';
import type { Loser } from './revoke.js';

/** The parts that executing steps for a seat needs. */
export interface ExecutorDeps {
  readonly log: Logger;
  readonly directory: SeatDirectory;
  readonly journal: Journal;
  readonly grants: Grants;
  readonly effects: Effects;
  readonly descriptors: Descriptors;
  readonly tell: Tell;
  readonly audit: Audit;
  readonly measure: Measure;
  /** Monotonic time in ns at which udevd's message about a unit was received, when this run is due to one. */
  readonly receivedNs: (unit: string) => bigint | undefined;
  /** Cgroups of the containers of other seats that share a unit and keep it: they notice nothing when this one loses it. */
  readonly keepers: (unit: string) => readonly string[];
}

/** The state of a seat: steps change it, plans are made from it. */
export interface Hold {
  /** On the container that has the devices now. */
  attachment: Attachment | undefined;
  /** The contents of the seat's directory. */
  seen: Contents;
  /** Units of which something has left for good since this was last emptied. */
  readonly left: Set<string>;
}

/** Executes the steps of a plan for one seat, and puts on record the devices that they give and take. */
export class Executor {
  constructor(
    private readonly seat: string,
    private readonly deps: ExecutorDeps,
    private readonly hold: Hold,
  ) {}

  /** Each part that gives or takes is on record before it begins, and its end afterwards. */
  async perform(part: Part): Promise<void> {
    const deed = deedOf(part, this.deps.journal.index.ofUnit(part.unit));
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
   * Every step of a removal is tried, even after one has failed: a container can keep its own directories from being
   * tidied up, but by that no descriptor from being taken back. Leftover files are strays to the next run. A device
   * that was not denied, announced as gone and taken back is not forgotten.
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
    return { seat: this.seat, container: this.hold.attachment?.container.name };
  }

  private async execute(step: Step): Promise<void> {
    const { directory, grants, log } = this.deps;
    switch (step.step) {
      case 'intend':
        this.intend(step.entry);
        return;
      case 'grant':
        this.noteLoose(step.number);
        grants.grant(this.cgroup(), step.number, step);
        return;
      case 'serve':
        this.note(step.entry.id, { holder: await this.deps.descriptors.serve(this.seat, step.entry, step.served) });
        return;
      case 'withdraw':
        await this.withdraw(step);
        return;
      case 'deny':
        grants.deny(this.cgroup(), step.number);
        return;
      case 'node':
        directory.makeNode(step.node);
        this.hold.seen.nodes.set(nodeKey(step.node), step.node);
        return;
      case 'show':
        await this.show(step.id, step.node);
        return;
      case 'hide':
        await this.hold.attachment?.shown.hide(step.name, step.placeholder);
        return;
      case 'unlink':
        directory.removeNode(step.class, step.name);
        this.hold.seen.nodes.delete(nodeKey(step));
        this.hold.seen.links.delete(nodeKey(step));
        return;
      case 'link':
        directory.makeLink(step.link);
        this.hold.seen.links.put(step.link);
        return;
      case 'record':
        directory.writeRecord(step.record);
        this.hold.seen.records.set(step.record.id, step.record.text);
        return;
      case 'unrecord':
        directory.removeRecord(step.id);
        this.hold.seen.records.delete(step.id);
        return;
      case 'announce':
        this.announce(step);
        return;
      case 'revoke':
        await this.revoke(step);
        return;
      case 'forget':
        this.forget(step.id);
        return;
      default:
        log.fatal({ step: step satisfies never }, 'unknown step');
    }
  }

  private forget(id: string): void {
    const { journal } = this.deps;
    const entry = journal.entries.get(id);
    this.tellOf('unbound', entry);
    journal.delete(id);
    if (entry !== undefined) this.hold.left.add(entry.unit);
  }

  /** A device that has not left for good is not forgotten over a successor with the same id. */
  private intend(entry: JournalEntry): void {
    const former = this.deps.journal.entries.get(entry.id);
    if (former !== undefined && !isSame(former, entry)) {
      throw new Error(`${entry.syspath} has to wait until ${former.syspath} has left`);
    }
    this.deps.journal.put(entry);
  }

  /** Shows a node that lies in no grafted directory. */
  private async show(id: string, node: NodeSpec): Promise<void> {
    const former = this.deps.journal.entries.get(id)?.placeholder;
    const bind = await this.hold.attachment?.shown.show(node, this.deps.directory.openNode(node), former);
    this.note(id, { placeholder: bind?.placeholder });
    if (bind?.covers === undefined) return;
    const facts = { seat: this.seat, container: this.hold.attachment?.container.name, device: nodePath(node) };
    this.deps.log.warn({ ...facts, covers: bind.covers }, 'shown over what stood there');
  }

  /**
   * A device that was announced as gone and stays after all is announced again. A device that was announced is
   * announced as gone, also when the agent dies right before or after the message. So the journal forgets it before the
   * one message, and notes it before the other.
   */
  private announce({ action, entry: { id }, entry }: Extract<Step, { step: 'announce' }>): void {
    const announcer = this.announcer();
    if (action === 'remove') this.note(id, { knownTo: undefined });
    announcer.announce(action, entry);
    // Of the entry as it is by now: showing a node has left a note in it.
    this.note(id, action === 'remove' ? { toldTo: undefined } : { knownTo: this.hold.attachment?.container.key });
  }

  private note(
    id: string,
    news: Partial<Pick<JournalEntry, 'knownTo' | 'toldTo' | 'placeholder' | 'loose' | 'holder' | 'unsure'>>,
  ): void {
    const entry = this.deps.journal.entries.get(id);
    if (entry !== undefined) this.deps.journal.put({ ...entry, ...news });
  }

  /** On record before anything can be opened. */
  private noteLoose(number: DeviceNumber): void {
    if (this.hold.attachment?.container.user === undefined) return;
    const id = numberId(number);
    if (this.deps.journal.entries.get(id)?.loose !== true) this.note(id, { loose: true });
  }

  /**
   * The holder's own open files are taken back without a search. Files that a former holder had opened, or that this
   * one could not take back, are searched for like any other descriptor, except when the device has been unplugged.
   */
  private async withdraw({ unit, ids, nodes }: Extract<Step, { step: 'withdraw' }>): Promise<void> {
    const { log, audit, journal, descriptors } = this.deps;
    const entries = journal.index.ofUnit(unit).filter(({ id }) => ids.includes(id));
    if (nodes.length === 0) {
      await descriptors.withdraw(this.seat, ids).catch(() => undefined);
      return;
    }
    const taken = await onRecord(
      audit,
      { what: 'revoke', ...factsOf(unit, entries), ...this.place() },
      async () => {
        const { holder, left } = await descriptors.withdraw(this.seat, ids);
        const unsure = entries.filter(
          (entry) => entry.unsure === true || entry.holder !== holder || left[entry.id] !== undefined,
        );
        // The next try searches as well, even if the holder knows nothing of it by then.
        for (const { id } of unsure) this.note(id, { unsure: true });
        return { left: unsure.map((entry) => left[entry.id] ?? `${entry.id} was opened by another holder`) };
      },
      (outcome) => outcome,
    );
    if (taken.left.length === 0) log.info({ seat: this.seat, unit }, 'descriptors taken back by the holder');
    else await this.revoke({ step: 'revoke', unit, nodes, hard: false });
  }

  private async revoke(step: Extract<Step, { step: 'revoke' }>): Promise<void> {
    const { log, audit, journal } = this.deps;
    const entries = journal.index.ofUnit(step.unit);
    await onRecord(
      audit,
      { what: 'revoke', ...factsOf(step.unit, entries), ...this.place() },
      async () => {
        const keepers = this.deps.keepers(step.unit);
        const loser = { ...this.loser(), keepers, mark: standstillOf(this.seat) };
        const { revoked, left, suspected, handed, isHeldUp } = await this.deps.effects.revoke(step.nodes, loser);
        if (isHeldUp) throw cannotLeave(left.join(', '));
        const facts = { seat: this.seat, unit: step.unit, revoked };
        // It is taken from everybody for a moment only where a rule says so, or where a user may have hidden a descriptor.
        const isAlone = keepers.length === 0;
        const isClear = left.length === 0 && suspected.length === 0 && handed.length === 0;
        if (isClear && !(step.hard && isAlone)) {
          log.info(facts, 'descriptors taken back');
          return { revoked };
        }
        if (left.length > 0 && !isAlone && !step.hard) {
          throw new Error(
            `the device cannot leave yet (${left.join(', ')}), and other seats keep it: it leaves when they let it go`,
          );
        }
        if (isAlone || step.hard) {
          const usb = await this.bindAgain(step, left, !step.hard && left.length === 0);
          if (usb !== undefined) {
            log.warn(
              { ...facts, left, suspected, handed, usb },
              'driver unbound and bound again, because revocation may not be complete',
            );
            return { revoked, left, rebound: usb };
          }
        }
        return this.searchOn(step, loser, { ...facts, suspected });
      },
      (outcome) => outcome,
    );
  }

  /** From whom something is taken: the container that has the seat, or the rest of a container that has ended. */
  loser(): Pick<Loser, 'cgroup' | 'users'> {
    const { cgroup, user } = this.hold.attachment?.container ?? this.deps.journal.tenant ?? {};
    return { cgroup, users: user === undefined ? [] : uidsOf(user) };
  }

  /**
   * After a search that ended early because an ordinary user has so much open: all of it is looked at, while nobody waits but
   * this seat. If that is still not all, it is said, and holds up nothing. The same is true of a device that somebody else
   * may have been handed, where its driver cannot be bound again: otherwise any program with an io_uring would hold up a seat.
   */
  private async searchOn(
    step: Extract<Step, { step: 'revoke' }>,
    loser: Loser,
    facts: { readonly suspected: readonly string[]; readonly revoked: number },
  ): Promise<{ revoked: number; left: readonly string[] }> {
    const { revoked, left, suspected, handed } = await this.deps.effects.revoke(step.nodes, {
      ...loser,
      patient: true,
    });
    if (left.length > 0) throw cannotLeave(left.join(', '));
    this.deps.log.warn({ ...facts, suspected, handed }, 'descriptors taken back, but for what could not be looked at');
    return { revoked: facts.revoked + revoked, left: [...suspected, ...handed] };
  }

  /** Returns the driver that was bound again; undefined when that cannot be done and `isOptional`. */
  private async bindAgain(
    { unit, nodes }: Extract<Step, { step: 'revoke' }>,
    left: readonly string[],
    isOptional: boolean,
  ): Promise<string | undefined> {
    try {
      return await this.deps.effects.rebind(unit, nodes[0]?.class ?? 'input', this.loser().cgroup);
    } catch (error) {
      if (isOptional && !(error instanceof HeldUp)) return undefined;
      const why = (error as Error).message;
      if (left.length > 0) throw cannotLeave(`${left.join(', ')}; ${why}`);
      throw new Error(`the device may still be open somewhere (${why}): unplug it`);
    }
  }

  /** One line for each node that was given or granted now; what merely changed its description is no binding. */
  logBindings(done: readonly Part[], started: bigint): void {
    for (const number of numbersGiven(done)) {
      const entry = this.deps.journal.entries.get(numberId(number));
      const node = entry && nodeOf(entry);
      if (entry === undefined || node === undefined) continue;
      const received = this.deps.receivedNs(entry.unit);
      const ms = milliseconds(received ?? started);
      if (received !== undefined) this.deps.measure('announce', ms / 1000);
      this.deps.log.info(
        {
          ...this.place(),
          device: nodePath(node),
          number: numberText(node.number),
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
    const node = entry && nodeOf(entry);
    if (entry === undefined || node === undefined) return;
    const container = this.hold.attachment?.container.name;
    this.deps.tell({ kind, seat: this.seat, container, device: nodePath(node), rule: entry.rule });
  }

  private cgroup(): string {
    if (this.hold.attachment === undefined) throw new Error(`seat ${this.seat} has no container to grant anything to`);
    return this.hold.attachment.container.cgroup;
  }

  private announcer(): Announcer {
    const announcer = this.hold.attachment?.announcer;
    if (announcer === undefined) throw new Error(`seat ${this.seat} has no container that listens`);
    return announcer;
  }
}

const milliseconds = (since: bigint): number => Number((process.hrtime.bigint() - since) / 1000n) / 1000;

const cannotLeave = (why: string): Error =>
  new Error(`the device cannot leave yet (${why}): it leaves when they let it go`);
