import { existsSync, rmSync, writeFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { numberText } from '../core/device.js';
import { nodePath } from '../core/state.js';
import type { JournalEntry, NodeRef } from '../core/step.js';
import type { Done, HolderState, ServedDevice, ServedSeat, WantedSeats } from '../holder/messages.js';
import type { Namespaces } from '../kernel/namespaces.js';
import { Due } from '../outputs/due.js';
import { HolderLink } from '../outputs/holder-link.js';
import type { Receiver, SeatController } from '../seat/controller.js';
import type { Descriptors, Withdrawn } from '../seat/descriptors.js';
import { tend } from '../seat/outlet.js';
import { answersSwitch } from './libseat.js';

export interface DescriptorKeeperDeps {
  readonly log: Logger;
  readonly controller: () => Pick<SeatController, 'receivers' | 'seatdOutlets'>;
  readonly namespaces: Pick<Namespaces, 'readFile'>;
  /** A file that is there while the holder may serve anything: for an agent that starts again. */
  readonly marker: string;
  /** Where the holder listens; in its usual place unless given. */
  readonly holder?: string;
}

/** How a seat's display server stands with the devices that it opens through the holder. */
export interface Served {
  /** Whether one has come to the seat. */
  readonly isOpen: boolean;
  /** Nodes that it has open, by their names in the container. */
  readonly opened: readonly string[];
  /** Why none can; absent while one can. */
  readonly problem?: string | undefined;
}

interface Waiting {
  readonly settle: (done: Done | undefined) => void;
  readonly timer: NodeJS.Timeout;
}

/** Longest that the holder takes for a few system calls, ms. */
const patience = 5000;

/**
 * Has the holder open devices for the display servers of seats. Changes of a seat's devices are sent at once and waited
 * for. The place of its socket and the access to it are compared whenever they may have changed.
 */
export class DescriptorKeeper implements Descriptors {
  private readonly link: HolderLink;
  private readonly served = new Map<string, Map<string, ServedDevice>>();
  /** Unanswered requests, by serial number. */
  private readonly waiting = new Map<number, Waiting>();
  private serial = 0;
  private state: HolderState | undefined;
  /**
   * Before a policy is in force nothing is said: the devices of the seats are not known yet, and the holder would take
   * them away.
   */
  private isRuled = false;
  /** Where the sockets are and whose, as it was said last. */
  private places = '';
  /** Of containers, by their keys: whether their libseat waits for an answer to SWITCH_SESSION. */
  private readonly answering = new Map<string, boolean>();
  private readonly due = new Due(() => this.run());

  constructor(private readonly deps: DescriptorKeeperDeps) {
    this.link = new HolderLink(
      { state: (state) => this.take(state), done: (done) => this.answer(done.done, done.isAll, done) },
      deps.holder,
    );
  }

  /** A policy is in force: from now on the wanted devices of the seats are known. */
  begin(): void {
    this.isRuled = true;
    this.schedule();
  }

  /** Something may have changed: seats, containers, the policy. */
  schedule(): void {
    this.due.ask();
  }

  resume(seat: string, entries: Iterable<JournalEntry>): void {
    for (const entry of entries) {
      if (entry.served !== undefined) this.of(seat).set(entry.id, deviceOf(entry, entry.served));
    }
  }

  async serve(seat: string, entry: JournalEntry, served: NodeRef): Promise<string> {
    this.of(seat).set(entry.id, deviceOf(entry, served));
    const done = await this.say(seat);
    if (done === undefined) throw new Error(this.link.problem ?? 'the holder cannot be reached');
    return done.holder;
  }

  async withdraw(seat: string, ids: readonly string[]): Promise<Withdrawn> {
    for (const id of ids) this.of(seat).delete(id);
    const done = await this.say(seat);
    return { holder: done?.holder, left: done?.left ?? {} };
  }

  /** For status; undefined of a seat that nothing is served to. */
  statusOf(seat: string): Served | undefined {
    const isReceiver = this.deps
      .controller()
      .receivers()
      .some((one) => one.seat === seat);
    if (!isReceiver) return undefined;
    const now = this.state?.seats?.find((one) => one.seat === seat);
    const devices = this.of(seat);
    const opened = now?.opened.flatMap((id) => devices.get(id)?.path ?? []) ?? [];
    return { isOpen: now?.isOpen === true, opened: [...new Set(opened)], problem: this.link.problem };
  }

  /** Has the holder end all of it, for a release. */
  async end(): Promise<void> {
    this.due.end();
    if (existsSync(this.deps.marker)) {
      this.served.clear();
      this.serial += 1;
      const nothing: WantedSeats = { serial: this.serial, seats: [], isAll: true };
      await this.ask(nothing, () => nothing);
      rmSync(this.deps.marker, { force: true });
    }
    this.close();
  }

  close(): void {
    this.due.end();
    this.link.close();
    for (const serial of [...this.waiting.keys()]) this.answer(serial, false, undefined);
  }

  private of(seat: string): Map<string, ServedDevice> {
    const known = this.served.get(seat) ?? new Map<string, ServedDevice>();
    this.served.set(seat, known);
    return known;
  }

  private run(): void {
    if (!this.isRuled) return;
    const receivers = this.deps.controller().receivers();
    if (receivers.length === 0 && !existsSync(this.deps.marker)) {
      this.link.close();
      return;
    }
    this.lookAfterSockets(receivers);
    this.lookIntoContainers(receivers);
    if (!existsSync(this.deps.marker)) writeFileSync(this.deps.marker, '');
    const places = JSON.stringify(receivers.map((receiver) => ({ ...this.servedSeat(receiver), devices: [] })));
    if (places === this.places) return;
    this.places = places;
    this.serial += 1;
    this.link.wantSeats(this.all(), () => this.all());
  }

  private lookIntoContainers(receivers: readonly Receiver[]): void {
    const containers = receivers.flatMap(({ container }) => container ?? []);
    for (const key of this.answering.keys()) if (!containers.some((one) => one.key === key)) this.answering.delete(key);
    for (const container of containers) {
      if (this.answering.has(container.key)) continue;
      this.answering.set(container.key, true);
      void answersSwitch(this.deps.namespaces, container).then((answers) => {
        this.answering.set(container.key, answers);
        this.schedule();
      });
    }
  }

  private lookAfterSockets(receivers: readonly Receiver[]): void {
    const rules = new Map(receivers.flatMap(({ seat, rule }) => (rule === undefined ? [] : [[seat, rule] as const])));
    tend(this.deps.controller().seatdOutlets(), rules, (seat, error) =>
      this.deps.log.warn({ seat, err: error }, 'the socket for devices cannot be looked after'),
    );
  }

  /** Tells of one seat, and settles when the holder has done it; undefined: no holder runs. */
  private say(seat: string): Promise<Done | undefined> {
    const seats = this.deps
      .controller()
      .receivers()
      .filter((one) => one.seat === seat)
      .map((receiver) => this.servedSeat(receiver));
    this.serial += 1;
    return this.ask({ serial: this.serial, seats, isAll: false }, () => this.all());
  }

  private ask(part: WantedSeats, all: () => WantedSeats): Promise<Done | undefined> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(part.serial);
        reject(new Error(`the holder has not answered within ${patience / 1000} s`));
      }, patience);
      this.waiting.set(part.serial, { settle: resolve, timer });
      this.link.wantSeats(part, all);
    });
  }

  /** The request with this number is done; with `isAll`, all before it as well. */
  private answer(serial: number, isAll: boolean, done: Done | undefined): void {
    for (const [asked, { settle, timer }] of this.waiting) {
      if (asked > serial || (asked < serial && !isAll)) continue;
      this.waiting.delete(asked);
      clearTimeout(timer);
      settle(done);
    }
  }

  private all(): WantedSeats {
    const seats = this.deps
      .controller()
      .receivers()
      .map((receiver) => this.servedSeat(receiver));
    return { serial: this.serial, seats, isAll: true };
  }

  private servedSeat({ seat, outlet, cgroup, container }: Receiver): ServedSeat {
    const devices = [...this.of(seat).values()];
    const answers = this.answering.get(container?.key ?? '') ?? true;
    return { seat, path: outlet.draft, shown: outlet.shown, cgroup, answersSwitch: answers, devices };
  }

  /** Takes in the holder's present state. */
  private take(state: HolderState | undefined): void {
    this.state = state;
    if (state === undefined) {
      // A holder that went away without a word may still serve; where none listens, none does.
      if (this.link.isAbsent) this.answer(this.serial, true, undefined);
      this.places = '';
      return;
    }
    const receivers = this.deps.controller().receivers();
    for (const { seat, inode } of state.seats ?? []) {
      const { outlet, rule } = receivers.find((one) => one.seat === seat) ?? {};
      try {
        if (rule !== undefined) outlet?.show(inode, rule);
      } catch (error) {
        this.deps.log.debug({ seat, err: error }, 'the socket for devices is not there yet');
      }
    }
    if (this.isRuled && receivers.length === 0 && (state.seats ?? []).length === 0 && this.waiting.size === 0) {
      rmSync(this.deps.marker, { force: true });
      this.link.close();
      this.places = '';
    }
    this.schedule();
  }
}

function deviceOf({ id, syspath, incarnation }: JournalEntry, served: NodeRef): ServedDevice {
  const kind = served.class === 'hidraw' ? 'hidraw' : 'input';
  return { id, path: nodePath(served), kind, number: numberText(served.number), syspath, incarnation };
}
