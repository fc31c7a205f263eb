import type { Logger } from 'pino';
import { type Asker, type Audit, type Deed, onRecord } from '../core/audit.js';
import { changesOf } from '../core/changes.js';
import { decider } from '../core/decide.js';
import type { Unit } from '../core/device.js';
import { findRaw, findUnit, rawRefused } from '../core/find-unit.js';
import { isOf, isThing, thingOf, thisVery } from '../core/loan.js';
import { nameOf } from '../core/name.js';
import { areApart } from '../core/physical.js';
import type { Loan, Thing } from '../core/policy.js';
import { ControlError } from '../core/refusal.js';
import { whole } from '../core/scope.js';
import type { SeatController } from '../seat/controller.js';
import type { DeviceTable } from '../udev/table.js';
import type { LoanBook } from './loan-book.js';
import type { PolicyManager } from './manager.js';

export interface OverridesDeps {
  readonly log: Logger;
  readonly book: LoanBook;
  readonly table: DeviceTable;
  readonly controller: Pick<SeatController, 'assignments' | 'serve'>;
  readonly manager: PolicyManager;
  readonly audit: Audit;
}

/** The request of `attach`. */
export interface AttachRequest {
  /** As in `explain`. */
  readonly device: string;
  readonly seat: string;
  /** How long, ms; for good, which is until a boot, when undefined. */
  readonly forMs: number | undefined;
  /** Even if the host loses its last keyboard. */
  readonly force: boolean;
}

/** More loans than this are none that anybody made by hand. */
const most = 64;

/** The clock on the wall is looked at this often while a loan has an end: timers stand still while the PC sleeps, ms. */
const lookEvery = 60_000;

/** Gives devices to seats by hand and takes them back. Loans are part of the policy, and move as policy moves them. */
export class Overrides {
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly deps: OverridesDeps) {}

  /** Ends what ended while no agent ran, and waits for the rest. */
  async begin(): Promise<void> {
    await this.expire();
  }

  /**
   * Gives a device to a seat; settles when the seat has it, or has said why not. A device whose driver was bound again for that comes
   * back later.
   */
  async attach({ device, seat, forMs, force }: AttachRequest, by: Asker): Promise<Loan> {
    const { book, table, manager, audit } = this.deps;
    const { assignments } = this.deps.controller;
    const raw = findRaw(table.rawUnits(), device);
    if (raw !== undefined) throw rawRefused(raw, table.readAt(raw.id));
    const unit = findUnit(table.units(), device);
    const seats = assignments.seats.map((one) => one.seat);
    if (!seats.includes(seat)) {
      throw new ControlError(
        'no-seat',
        `there is no seat ${JSON.stringify(seat)}: the policy has ${seats.join(', ') || 'none'}`,
      );
    }
    const own = [unit, ...table.partsOf(unit.id).filter((part) => !areApart(part, unit))];
    const [thing = thingOf(unit), ...parts] = this.tellApart(own, force);
    const until = forMs === undefined ? undefined : Date.now() + forMs;
    const loan: Loan = { seat, thing, parts, name: nameOf(unit), until, by: by.uid };
    const loans = [loan, ...book.loans.filter((other) => !own.some((one) => isOf(other, one)))];
    if (loans.length > most) throw new ControlError('too-many', `${most} devices are attached by hand: detach some`);
    const { dangers } = changesOf(table.units(), assignments.judged, decider(manager.with(loans)));
    if (dangers.length > 0 && !force)
      throw new ControlError('dangerous', 'refused: hotseat attach --force does it', dangers);
    await onRecord(audit, { what: 'attach', ...factsOf(loan), device: unit.id, by }, () => this.take(loans));
    return loan;
  }

  /**
   * Takes back a device that was given by hand; the policy decides again. A device that is not plugged goes by its
   * name, or by the path of its port.
   */
  async detach(wanted: string, by: Asker): Promise<Loan> {
    const loan = this.find(wanted);
    await this.end(loan, { by });
    return loan;
  }

  close(): void {
    clearTimeout(this.timer);
  }

  private find(wanted: string): Loan {
    const { book, table } = this.deps;
    const named = book.loans.filter(({ name, thing }) => name === wanted || thing.path === wanted);
    if (named.length === 1 && named[0] !== undefined) return named[0];
    const unit = findUnit(table.units(), wanted);
    const found = book.loans.find((loan) => isOf(loan, unit));
    if (found !== undefined) return found;
    const names = book.loans.map(({ name, thing: { path }, seat }) => `${name} (${path}) at ${seat}`);
    throw new ControlError('not-attached', `${JSON.stringify(wanted)} was not attached by hand`, names);
  }

  /**
   * The facts by which a device is recognised, part by part. @throws when another plugged device would go along, before
   * anything moves; with `force` it is known by the kernel's names, until it is unplugged.
   */
  private tellApart(own: readonly Unit[], force: boolean): readonly Thing[] {
    const things = own.map(thingOf);
    const twins = this.deps.table
      .units()
      .filter(({ id }) => !own.some((part) => part.id === id))
      .filter((other) => things.some((thing) => isThing(thing, thingOf(other), other.head.sysname)));
    if (twins.length === 0) return things;
    if (force) return own.map(thisVery);
    const names = twins.map((other) => `${other.nodes[0]?.node ?? other.id} ${nameOf(other)}`);
    throw new ControlError(
      'twins',
      'the device cannot be told apart from others: hotseat attach --force gives it alone, until it is unplugged',
      names.map((name) => `the same to everybody: ${name}`),
    );
  }

  private async expire(): Promise<void> {
    const { book } = this.deps;
    for (const loan of book.loans) {
      // A loan that ended during that wait has ended.
      if (loan.until !== undefined && loan.until <= Date.now() && book.loans.includes(loan)) await this.end(loan, {});
    }
    this.wait(0);
  }

  private async end(loan: Loan, who: Pick<Deed, 'by'>): Promise<void> {
    const { audit, book } = this.deps;
    await onRecord(audit, { what: 'detach', ...factsOf(loan), ...who }, () =>
      this.take(book.loans.filter((other) => other !== loan)),
    );
  }

  private async take(loans: readonly Loan[]): Promise<void> {
    const { book, manager, controller, log } = this.deps;
    book.write(loans);
    log.info({ loans: loans.map(({ name, seat }) => `${name}: ${seat}`) }, 'attached by hand');
    this.wait(0);
    await manager.refresh();
    // Twice: a device that leaves one seat is free for another only then.
    const seats = whole(controller.assignments.seats.map((one) => one.seat));
    await controller.serve(seats);
    await controller.serve(seats);
  }

  /** Until the next end, but for `leastMs`. */
  private wait(leastMs: number): void {
    clearTimeout(this.timer);
    const next = Math.min(...this.deps.book.loans.map(({ until }) => until ?? Number.POSITIVE_INFINITY));
    if (next === Number.POSITIVE_INFINITY) return;
    const ms = Math.max(leastMs, Math.min(next - Date.now(), lookEvery));
    this.timer = setTimeout(() => {
      this.expire().catch((error: unknown) => {
        this.deps.log.error({ err: error }, 'a device attached by hand could not be taken back');
        this.wait(lookEvery);
      });
    }, ms).unref();
  }
}

const factsOf = ({ seat, name, until }: Loan): Pick<Deed, 'seat' | 'name' | 'until'> => ({
  seat,
  name,
  until: until === undefined ? undefined : new Date(until).toISOString(),
});
