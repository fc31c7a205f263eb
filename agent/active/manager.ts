import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { Subject } from 'rxjs';
import { type Asker, type Audit, onRecord } from '../core/audit.js';
import { changesOf } from '../core/changes.js';
import { decider } from '../core/decide.js';
import type { Tell } from '../core/happening.js';
import type { Loan, Policy } from '../core/policy.js';
import { ControlError, type RefusalCode } from '../core/refusal.js';
import type { Touched } from '../core/scope.js';
import { unreadBy } from '../core/unread.js';
import type { AtBoot } from '../host/at-boot.js';
import type { Consoles } from '../host/consoles.js';
import type { HostRules } from '../host/host-rules.js';
import { formatDiagnostic } from '../policy/diagnostics.js';
import type { Loaded } from '../policy/files.js';
import { GitUnavailable } from '../policy/git-command.js';
import { commitOf, loadPolicy, type PolicyPlace } from '../policy/source.js';
import type { SeatController } from '../seat/controller.js';
import type { SlowAttributes } from '../udev/slow-attributes.js';
import type { DeviceTable } from '../udev/table.js';
import { floorFile, keepFloor, rollback } from './floor.js';
import { keepLastGood, lastGood, lastGoodFile } from './last-good.js';
import type { LoanBook } from './loan-book.js';
import { isUnconfirmed, markTrial, trialFile } from './trial.js';

export interface PolicyManagerDeps {
  readonly log: Logger;
  readonly place: PolicyPlace;
  readonly table: DeviceTable;
  readonly controller: Pick<SeatController, 'adopt' | 'assignments'>;
  readonly rules: HostRules;
  readonly consoles: Consoles;
  readonly atBoot: Pick<AtBoot, 'keep'>;
  readonly tell: Tell;
  readonly audit: Audit;
  readonly book: LoanBook;
  /** Gets attributes read before a policy judges by them; none are unless given. */
  readonly slow?: Pick<SlowAttributes, 'learn'>;
}

/** A policy that is in force, and the seats that it may have changed. */
export interface Adopted {
  readonly policy: Policy;
  readonly touched: Touched;
}

type Good = Extract<Loaded, { ok: true }>;

/** Limit of the reported faults of a policy, each on a line of the log. */
const mostReasons = 100;

/** A commit that git dies over is tried so often. */
const mostTries = 5;

/** The life of the policy: loaded, refused or adopted, kept for a cold start, and followed where its ref goes. */
export class PolicyManager {
  private readonly subject = new Subject<Adopted>();
  /** Every policy that was adopted, after all units were judged by it. */
  readonly adopted = this.subject.asObservable();
  /** The faults of the policy that was looked at last. */
  private refused: readonly string[] = [];
  /** Why it cannot be told now which one there is. */
  private unseen: string | undefined;
  private active: Policy | undefined;
  private tried: string | undefined;
  private diedOver: { readonly commit: string | undefined; readonly times: number } | undefined;
  /** Policies are taken one after the other. Settles when the current one is taken. */
  private turn: Promise<void> = Promise.resolve();
  /** The policy to roll back to, and the files to keep on confirmation, while the active policy is on trial. */
  private trial:
    | { readonly former: Policy; readonly good: Good; readonly ends: Date; readonly timer: NodeJS.Timeout }
    | undefined;

  constructor(private readonly deps: PolicyManagerDeps) {}

  /** The faults of the policy that was looked at last, or of looking. */
  get errors(): readonly string[] {
    return [...new Set([...(this.unseen === undefined ? [] : [this.unseen]), ...this.refused])];
  }

  get revision(): string {
    return this.active?.revision ?? 'none';
  }

  /** At the start, the last good policy is in force until the newest one is good. */
  async begin(): Promise<void> {
    try {
      await this.onRecord(undefined, async () => {
        const good = await this.read();
        this.refuseUnconfirmed(good);
        await this.refuseRollback(good);
        await this.adopt(good.policy);
        this.keep(good);
      });
    } catch (error) {
      // Faults of a policy have been reported; other errors have not.
      if (!(error instanceof ControlError)) this.deps.log.error({ err: error }, 'the policy is not in force');
      const kept = lastGood(lastGoodFile, hostname());
      if (kept === undefined) return;
      this.deps.log.warn({ kept: kept.policy.revision }, 'the last good policy is in force');
      this.deps.atBoot.keep(kept.policy);
      await this.onRecord(undefined, () => this.adopt(kept.policy));
    }
  }

  /**
   * Takes the policy that is there now, whole or not at all; returns its revision. With `confirmMs` it is on trial: the
   * policy before it comes back unless `confirm` is called in time. After a restart of the agent, that policy is active
   * at once. `by`: the client, if a verb asked. `allowRollback`: also a signed commit that does not descend from the
   * confirmed one.
   */
  async reload(force: boolean, confirmMs?: number, by?: Asker, allowRollback = false): Promise<string> {
    if (allowRollback && by?.uid !== 0)
      throw new ControlError('not-permitted', 'only root may take a policy that does not follow the confirmed one');
    await this.inTurn(() => this.onRecord(by, () => this.take({ force, confirmMs, allowRollback })));
    return this.revision;
  }

  /** `asked`: by a person, who may take a policy that was on trial and that nobody confirmed. */
  private async take(
    { force, confirmMs, allowRollback }: { force: boolean; confirmMs: number | undefined; allowRollback: boolean },
    asked = true,
  ): Promise<void> {
    const good = await this.read();
    if (!asked) this.refuseUnconfirmed(good);
    if (!allowRollback) await this.refuseRollback(good);
    await this.learn(good.policy);
    this.refuseDangers(good.policy, force);
    this.refused = [];
    const former = this.trial?.former ?? this.active;
    clearTimeout(this.trial?.timer);
    this.trial = undefined;
    await this.adopt(good.policy, true);
    if (confirmMs === undefined || former === undefined) {
      this.keep(good);
      markTrial(trialFile, undefined);
    } else {
      const timer = setTimeout(() => this.endTrial(), confirmMs).unref();
      this.trial = { former, good, ends: new Date(Date.now() + confirmMs), timer };
      markTrial(trialFile, good.texts);
    }
  }

  /** The policy on trial stays; returns its revision. */
  confirm(by?: Asker): string {
    if (this.trial === undefined)
      throw new ControlError('no-trial', 'no policy is on trial: hotseat reload --confirm 30s takes one');
    const close = this.deps.audit({ what: 'confirm', by });
    clearTimeout(this.trial.timer);
    this.keep(this.trial.good);
    markTrial(trialFile, undefined);
    this.trial = undefined;
    close({ end: 'done', took: this.revision });
    return this.revision;
  }

  /** The active policy with these loans instead of those that it has. */
  with(loans: readonly Loan[]): Policy {
    if (this.active === undefined)
      throw new ControlError('no-policy', 'there is no policy yet: hotseat status says why');
    return { ...this.active, loans };
  }

  /** Takes the loans as they are now. */
  async refresh(): Promise<void> {
    if (this.active !== undefined) await this.apply(this.active);
  }

  /** When the policy on trial goes unless it is confirmed. */
  get trialEnds(): Date | undefined {
    return this.trial?.ends;
  }

  private endTrial(): void {
    this.inTurn(() => this.goBack()).catch((error: unknown) =>
      this.deps.log.error({ err: error }, 'the policy before it is not in force everywhere'),
    );
  }

  private async goBack(): Promise<void> {
    const { trial } = this;
    if (trial === undefined) return;
    this.trial = undefined;
    this.refused = [`${trial.good.policy.revision} was not confirmed in time: the policy before it is in force again`];
    this.deps.log.warn(
      { refused: trial.good.policy.revision },
      'policy not confirmed: the policy before it is in force again',
    );
    this.deps.tell({ kind: 'refused', reasons: this.refused });
    await this.onRecord(undefined, () => this.adopt(trial.former));
  }

  /**
   * Looks whether the ref moved; a refused commit is not tried again, and a commit that is being taken, perhaps on
   * trial, is not taken a second time beside it.
   */
  follow(): Promise<void> {
    return this.inTurn(async () => {
      const commit = await this.seen(() => commitOf(this.deps.place));
      if (commit === undefined || commit === this.tried) return;
      await this.onRecord(undefined, () =>
        this.take({ force: false, confirmMs: undefined, allowRollback: false }, false),
      );
    });
  }

  /** Another revision of the policy, or the newest one. Nothing is done with it. */
  async peek(revision: string | undefined): Promise<Policy> {
    const loaded = await loadPolicy(this.deps.place, await commitOf(this.deps.place, revision));
    if (!loaded.ok)
      throw new ControlError('policy-errors', 'the policy has errors', loaded.diagnostics.map(formatDiagnostic));
    // A reload would refuse it; any other revision is only looked at.
    const back = revision === undefined ? await rollback(this.deps.place, loaded.policy.revision) : undefined;
    if (back !== undefined)
      throw new ControlError('policy-back', 'the policy does not follow the last confirmed policy', [back]);
    await this.learn(loaded.policy);
    return this.whole(loaded.policy);
  }

  private async read(): Promise<Good> {
    const loaded = await this.load().catch((error: Error) => [error.message]);
    if (!Array.isArray(loaded) && loaded.ok) return loaded;
    const errors = Array.isArray(loaded) ? loaded : loaded.diagnostics.map(formatDiagnostic);
    return this.refuse('policy-errors', errors, 'the policy has errors; the last good one stays active');
  }

  /** Says everywhere why a policy is not taken; `message` is what who asked for it is answered. */
  private refuse(code: RefusalCode, all: readonly string[], message: string): never {
    const reasons =
      all.length <= mostReasons ? all : [...all.slice(0, mostReasons), `and ${all.length - mostReasons} more`];
    this.refused = reasons;
    for (const reason of reasons) this.deps.log.error({ policy: reason }, 'policy refused, the last good one stays');
    this.deps.tell({ kind: 'refused', reasons });
    throw new ControlError(code, message, reasons);
  }

  /** Asks the repository something, which may not answer: that is said until it does. */
  private async seen<T>(ask: () => Promise<T>): Promise<T> {
    try {
      const answer = await ask();
      this.unseen = undefined;
      return answer;
    } catch (error) {
      this.unseen = (error as Error).message;
      throw error;
    }
  }

  private async load(): Promise<Loaded> {
    this.tried = undefined;
    this.tried = await this.seen(() => commitOf(this.deps.place));
    try {
      return await loadPolicy(this.deps.place, this.tried);
    } catch (error) {
      // Perhaps not the commit's fault: it is tried again, if not for ever.
      if (error instanceof GitUnavailable && this.triesOver(this.tried) < mostTries) this.tried = undefined;
      throw error;
    }
  }

  /** How often git has died over a commit by now. */
  private triesOver(commit: string | undefined): number {
    const { diedOver } = this;
    const times = diedOver !== undefined && diedOver.commit === commit ? diedOver.times + 1 : 1;
    this.diedOver = { commit, times };
    return times;
  }

  private refuseUnconfirmed({ texts }: Good): void {
    if (isUnconfirmed(trialFile, texts))
      this.refuse('policy-unconfirmed', ['the policy was on trial and nobody confirmed it'], '');
  }

  private async refuseRollback({ policy }: Good): Promise<void> {
    const reason = await rollback(this.deps.place, policy.revision);
    if (reason !== undefined)
      this.refuse('policy-back', [reason], 'the policy does not follow the last confirmed policy, which stays');
  }

  private refuseDangers(policy: Policy, force: boolean): void {
    const { table, controller } = this.deps;
    const { dangers } = changesOf(table.units(), controller.assignments.judged, decider(this.whole(policy)));
    if (this.active === undefined || force || dangers.length === 0) return;
    this.refuse('dangerous', dangers, 'refused: hotseat plan shows the changes, hotseat reload --force makes them');
  }

  /** A device whose attributes are not known yet would leave its seat for a moment. */
  private async learn(policy: Policy): Promise<void> {
    const { table, slow } = this.deps;
    await slow?.learn(
      unreadBy(
        policy,
        () => table.units(),
        () => table.rawUnits(),
      ),
    );
  }

  /** `isLearned`: the attributes that it asks for have been read just now, as far as that was possible. */
  private async adopt(policy: Policy, isLearned = false): Promise<void> {
    const { log, consoles } = this.deps;
    this.active = policy;
    // Before anything else that could fail: no key of a seat is for the host.
    const seats = policy.seats.length > 0;
    if (seats && policy.console === 'mute') consoles.mute();
    else consoles.open(seats);
    if (!isLearned) await this.learn(policy);
    await this.apply(policy);
    const names = policy.seats.map(({ seat }) => seat);
    log.info({ seats: names }, 'policy loaded');
    this.deps.tell({ kind: 'policy', revision: policy.revision, seats: names });
  }

  /** To the seats and to the host, with devices that were attached by hand. */
  private async apply(policy: Policy): Promise<void> {
    const { rules, table, controller } = this.deps;
    const whole = this.whole(policy);
    this.subject.next({ policy: whole, touched: this.taken(whole) });
    await rules.install(whole, table, controller.assignments);
  }

  /** Half a policy must not stay in force: a fault ends the stream of policies, and the agent with it. */
  private taken(policy: Policy): Touched {
    try {
      return this.deps.controller.adopt(policy);
    } catch (error) {
      this.subject.error(error);
      throw error;
    }
  }

  private readonly whole = (policy: Policy): Policy => ({ ...policy, loans: this.deps.book.loans });

  private inTurn(act: () => Promise<void>): Promise<void> {
    const done = this.turn.then(act);
    this.turn = done.catch(() => undefined);
    return done;
  }

  private onRecord(by: Asker | undefined, act: () => Promise<void>): Promise<void> {
    return onRecord(this.deps.audit, { what: 'policy', by }, act, () => ({ took: this.revision }));
  }

  private keep({ policy, texts }: Good): void {
    try {
      keepLastGood(lastGoodFile, policy.revision, texts);
    } catch (error) {
      this.deps.log.error({ err: error, file: lastGoodFile }, 'the policy was not kept for a cold start');
    }
    this.deps.atBoot.keep(policy);
    if (this.deps.place.signers === undefined) return;
    try {
      keepFloor(floorFile, policy.revision);
    } catch (error) {
      this.deps.log.error({ err: error, file: floorFile }, 'an older commit than this one would be taken again');
    }
  }
}
