import type { Logger } from 'pino';
import { numberText } from '../core/device.js';
import { plan } from '../core/plan.js';
import { type ActualSeat, type DesiredSeat, nodeKey } from '../core/state.js';
import type { JournalEntry, NodeSpec, Step } from '../core/step.js';
import type { Container } from '../engines/engine.js';
import type { Namespaces } from '../kernel/namespaces.js';
import type { Announcer } from './announcer.js';
import { Attachment } from './attachment.js';
import type { SeatDirectory } from './directory.js';
import { DeviceGone, type Grants } from './grants.js';
import type { Journal } from './journal.js';
import type { Graft } from './layout.js';
import { rebind } from './rebind.js';
import { revoke } from './revoke.js';

/** What the rest of the house hands to a seat. */
export interface SeatDeps {
  readonly log: Logger;
  readonly directory: SeatDirectory;
  readonly journal: Journal;
  readonly grants: Grants;
  readonly namespaces: Namespaces;
  /** Whether a device exists now, by syspath. */
  readonly present: (syspath: string) => boolean;
  /** Monotonic time in ns at which udevd's message about a unit was received, when this run is due to one. */
  readonly receivedNs: (unit: string) => bigint | undefined;
  /** Called after something left this seat for good, so that another seat may take it. */
  readonly released: () => void;
}

/** Back-off after a failed run, ms: first, and the longest. */
const retry = { first: 200, longest: 30_000 };

/**
 * One seat's executor: compares what the seat shall have with what it has, and runs the difference, one step after the
 * other. Level-triggered: `trigger` says only that something may have changed; runs never overlap.
 */
export class SeatWorker {
  private desired: DesiredSeat = { devices: [] };
  private grafts: readonly Graft[] = [];
  private container: Container | undefined;
  private attachment: Attachment | undefined;
  private seen: { nodes: Map<string, NodeSpec>; records: Map<string, string> };
  private running: Promise<void> | undefined;
  private again = false;
  private backoff = 0;
  private retryTimer: NodeJS.Timeout | undefined;
  private problem: string | undefined;
  private closed = false;

  constructor(
    readonly seat: string,
    private readonly deps: SeatDeps,
  ) {
    this.seen = deps.directory.read();
  }

  /** What the seat shall look like; takes effect with the next trigger. */
  want(desired: DesiredSeat, grafts: readonly Graft[]): void {
    this.desired = desired;
    this.grafts = grafts;
  }

  /** The container as its engine sees it now, undefined while it is not running. */
  serve(container: Container | undefined): void {
    this.container = container;
  }

  /** Runs soon; the promise settles when the run that takes this trigger into account is over. */
  trigger(): Promise<void> {
    if (this.closed) return Promise.resolve();
    if (this.running !== undefined) {
      this.again = true;
      return this.running;
    }
    this.running = this.runAll().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  /** The next run looks at the container's mounts again. */
  expectChanges(): void {
    this.attachment?.invalidate();
  }

  /** Reads the seat directory, the grants and the grafts again before the next run: what others did is noticed here. */
  recheck(): Promise<void> {
    this.seen = this.deps.directory.read();
    this.deps.grants.reread();
    this.attachment?.invalidate();
    return this.trigger();
  }

  /** Whether any device of a unit is, or may still be, in this seat: another seat has to wait for it. */
  holds(unit: string): boolean {
    for (const entry of this.deps.journal.entries.values()) if (entry.unit === unit) return true;
    return false;
  }

  /** For status: what is bound, what is wrong. */
  report(): {
    container: Container | undefined;
    problem: string | undefined;
    deaf: readonly string[];
    entries: readonly JournalEntry[];
  } {
    return {
      container: this.container,
      problem: this.problem,
      deaf: this.attachment?.deaf ?? [],
      entries: [...this.deps.journal.entries.values()],
    };
  }

  /** Nothing is taken away: a stopped agent leaves every binding as it is. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.retryTimer);
    await this.running;
    this.attachment?.close();
    this.deps.directory.close();
  }

  private async runAll(): Promise<void> {
    do {
      this.again = false;
      try {
        await this.run();
        this.problem = undefined;
        this.backoff = 0;
      } catch (error) {
        this.failed(error as Error);
      }
    } while (this.again && !this.closed);
  }

  private failed(error: Error): void {
    if (error instanceof DeviceGone) {
      // The kernel is ahead of udevd; its message about the removal will bring us here again.
      this.deps.log.debug({ seat: this.seat, err: error }, 'device went meanwhile');
      return;
    }
    this.problem = error.message;
    this.backoff = Math.min(this.backoff === 0 ? retry.first : this.backoff * 2, retry.longest);
    this.deps.log.error({ seat: this.seat, err: error, retryMs: this.backoff }, 'seat could not be brought up to date');
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => void this.recheck(), this.backoff).unref();
  }

  private async run(): Promise<void> {
    await this.attachContainer();
    const steps = plan(this.desired, this.actual());
    const started = process.hrtime.bigint();
    for (const step of steps) await this.execute(step);
    this.logBindings(steps, started);
    if (steps.some((step) => step.step === 'forget')) this.deps.released();
  }

  /** Follows the container: another init means other namespaces, another cgroup, other listeners. */
  private async attachContainer(): Promise<void> {
    const { container } = this;
    if (this.attachment !== undefined && this.attachment.container.key !== container?.key) {
      this.deps.log.info({ seat: this.seat, container: this.attachment.container.name }, 'container is gone');
      this.deps.grants.drop(this.attachment.container.cgroup);
      this.attachment.close();
      this.attachment = undefined;
    }
    if (container === undefined) return;
    this.attachment ??= new Attachment(container, this.seat, this.deps);
    await this.attachment.ensure(container, this.grafts, this.deps.directory.path, () => this.nowKnown(container.key));
  }

  /** A container that started on top of its grafts has read everything from there; it needs no announcements. */
  private nowKnown(key: string): void {
    for (const entry of this.deps.journal.entries.values()) this.deps.journal.put({ ...entry, knownTo: key });
  }

  private actual(): ActualSeat {
    const cgroup = this.attachment?.container.cgroup;
    return {
      container: this.attachment?.container.key,
      audience: this.attachment?.announcer === undefined ? undefined : this.attachment.container.key,
      grants: cgroup === undefined ? new Set() : this.deps.grants.of(cgroup),
      nodes: this.seen.nodes,
      records: this.seen.records,
      journal: this.deps.journal.entries,
      present: this.deps.present,
    };
  }

  private async execute(step: Step): Promise<void> {
    const { directory, journal, grants, log } = this.deps;
    switch (step.step) {
      case 'intend':
        journal.put(step.entry);
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
      case 'unlink':
        directory.removeNode(step.class, step.name);
        this.seen.nodes.delete(nodeKey(step));
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
        if (step.action !== 'remove') journal.put({ ...step.entry, knownTo: this.attachment?.container.key });
        return;
      case 'revoke':
        await this.revoke(step);
        return;
      case 'forget':
        journal.delete(step.id);
        return;
      default:
        log.fatal({ step: step satisfies never }, 'unknown step');
    }
  }

  private async revoke(step: Extract<Step, { step: 'revoke' }>): Promise<void> {
    const { log } = this.deps;
    const { revoked, left } = await revoke(step.nodes, this.attachment?.container.cgroup);
    const facts = { seat: this.seat, unit: step.unit, revoked };
    if (left.length === 0 && !step.hard) {
      log.info(facts, 'descriptors taken back');
      return;
    }
    const usb = rebind(step.unit);
    log.warn({ ...facts, left, usb }, 'driver unbound and bound again, because revocation could not be complete');
  }

  /** One line for each node that was given or granted now; what merely changed its description is no binding. */
  private logBindings(steps: readonly Step[], started: bigint): void {
    const numbers = new Set(
      steps.flatMap((step) =>
        step.step === 'grant' ? [numberText(step.number)] : step.step === 'node' ? [numberText(step.node.number)] : [],
      ),
    );
    for (const entry of this.deps.journal.entries.values()) {
      if (entry.node === undefined || !numbers.has(numberText(entry.node.number))) continue;
      const received = this.deps.receivedNs(entry.unit);
      this.deps.log.info(
        {
          seat: this.seat,
          container: this.attachment?.container.name,
          device: `/dev/${nodeKey(entry.node)}`,
          number: numberText(entry.node.number),
          rule: entry.rule,
          ms: milliseconds(received ?? started),
          from: received === undefined ? 'reconciliation' : 'udev',
        },
        'bound',
      );
    }
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
