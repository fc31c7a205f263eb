import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Logger } from 'pino';
import type { Assignments } from '../assign/assignments.js';
import { type Device, numberText } from '../core/device.js';
import type { Output } from '../core/find-unit.js';
import type { Tell } from '../core/happening.js';
import { outputOwner } from '../core/outputs.js';
import type { Rule } from '../core/policy.js';
import { ControlError } from '../core/refusal.js';
import type { Claim } from '../core/verdict.js';
import type { Identified } from '../holder/identify-messages.js';
import { type HolderState, runningOn, type Wanted, type WantedCard } from '../holder/messages.js';
import type { SeatController, SplitCard } from '../seat/controller.js';
import { type Outlet, tend } from '../seat/outlet.js';
import { Due } from './due.js';
import { HolderLink } from './holder-link.js';
import { type CardOutputs, outputsOf } from './words.js';

export interface OutputKeeperDeps {
  readonly log: Logger;
  readonly controller: Pick<SeatController, 'splitCards' | 'outlets' | 'cgroupOf' | 'receivers' | 'serve'> & {
    readonly assignments: Pick<Assignments, 'freedCards'>;
  };
  readonly tell: Tell;
  /** A file that is there while the holder may have anything: for an agent that starts again. */
  readonly marker: string;
  /** Where the holder listens; in its usual place unless given. */
  readonly holder?: string;
}

/**
 * Has the holder lease outputs as the policy gives them. It compares the holder's state with the wanted one, whenever
 * either may have changed; a card becomes the holder's when no seat has a node of it any more, and the other way round.
 */
export class OutputKeeper {
  private readonly link: HolderLink;
  private state: HolderState | undefined;
  /** Whether the holder has been heard, or was not there, since this agent started. */
  private isKnown = false;
  /** Before a policy is in force nothing is said: to an agent that starts, no card is split, and the holder would let go. */
  private isRuled = false;
  private cards: readonly SplitCard[] = [];
  /** Whether no seat without outputs sees a socket. Before the first look it is not known. */
  private isTidy = false;
  private readonly due = new Due(() => this.run());

  constructor(private readonly deps: OutputKeeperDeps) {
    this.link = new HolderLink({ state: (state) => this.take(state) }, deps.holder);
  }

  /** A policy is in force: from now on the wanted outputs of the seats are known. */
  begin(): void {
    this.isRuled = true;
    this.schedule();
  }

  /** Something may have changed: seats, cards, the policy. */
  schedule(): void {
    this.due.ask();
  }

  /** Whether the holder has any card, or may have, or display servers run on that had leases. */
  get mayHold(): boolean {
    if (!this.isKnown) return existsSync(this.deps.marker);
    return (this.state?.cards.length ?? 0) + runningOn(this.state).length > 0;
  }

  /**
   * Whether the holder has a card, or may have it: nobody gets its node before it has let go. Nor before all display servers with
   * leases of it have ended: their framebuffers live as long as they do, and the card's next master could read them.
   */
  has({ node, number }: Pick<Device, 'node' | 'number'>): boolean {
    if (number === undefined) return false;
    if (!this.isKnown) return this.mayHold;
    const isHeld = this.state?.cards.some((card) => card.number === numberText(number)) === true;
    return isHeld || runningOn(this.state).some((one) => one.node === node);
  }

  /** In words, why nobody gets the nodes of a card now; undefined where the holder and its display servers have nothing of it. */
  whyHeld(card: Pick<Device, 'node' | 'number'>): string | undefined {
    if (!this.has(card)) return undefined;
    const seats = [...new Set(runningOn(this.state).flatMap(({ seat, node }) => (node === card.node ? [seat] : [])))];
    return seats.length === 0
      ? `the holder has not let go of ${card.node} yet`
      : `display servers that had outputs of ${card.node} still run at ${seats.join(' and ')}: end them`;
  }

  /** Outputs that a seat has and must have of shared cards, for status. */
  of(seat: string): CardOutputs[] {
    return outputsOf(seat, this.cards, this.state, this.link.problem);
  }

  /**
   * Shows the name of an output on it, with the name of its seat.
   * @throws ControlError when nobody shares the card, and when nobody would see it
   */
  async identify({ unit, connector }: Output, ms: number): Promise<void> {
    const name = `${unit.head.sysname}-${connector}`;
    const card = this.cards.find((one) => one.unit.id === unit.id);
    const { node } = unit.head;
    if (card === undefined || node === undefined) {
      throw new ControlError(
        'not-shared',
        `${unit.head.sysname} is not shared: its outputs are shown by one display server`,
        [`a rule with "connector: ${connector}" gives ${name} to a seat`],
      );
    }
    if (!card.isFree) throw new ControlError('output-in-use', `${node} is still in a seat as a whole`);
    const owners = outputOwner({ kind: 'seat', claims: card.claims, trace: [] }, connector);
    const whose = owners === 'conflict' ? '' : owners.join(' ');
    const lines = [connector, `${unit.head.sysname} ${whose}`.trim()];
    let answer: Identified;
    try {
      answer = await this.link.identify({ node, connector, lines, ms });
    } catch (error) {
      throw new ControlError('failed', (error as Error).message);
    }
    const { refusal } = answer;
    if (refusal !== undefined) throw new ControlError(refusal.code, `${name}: ${refusal.text}`);
  }

  close(): void {
    this.due.end();
    this.link.close();
  }

  private run(): void {
    if (!this.isRuled) return;
    this.cards = this.deps.controller.splitCards();
    // Each event comes by here, and on most PCs no card is ever shared.
    if (this.cards.length === 0 && this.isTidy && !this.link.isOpen) return;
    const outlets = this.deps.controller.outlets();
    const rules = this.rules();
    this.isTidy = tend(outlets, rules, (seat, error) =>
      this.deps.log.warn({ seat, err: error }, 'the socket for leases cannot be looked after'),
    );
    this.isTidy = this.nameCards(outlets) && this.isTidy;
    if (this.cards.length === 0 && !existsSync(this.deps.marker)) {
      this.isKnown = true;
      this.link.close();
      return;
    }
    if (this.cards.length > 0 && !existsSync(this.deps.marker)) writeFileSync(this.deps.marker, '');
    const sockets = [...rules.keys()].flatMap((seat) => {
      const outlet = outlets.get(seat);
      const cgroup = this.deps.controller.cgroupOf(seat);
      return outlet === undefined ? [] : [{ seat, path: outlet.draft, shown: outlet.shown, cgroup }];
    });
    this.link.want({ cards: this.cards.flatMap(wantedCard), sockets } satisfies Wanted);
  }

  /**
   * Seats that receive descriptors see the names of their shared cards: their display servers open the cards at the socket. Whether
   * that was done.
   */
  private nameCards(outlets: ReadonlyMap<string, Outlet>): boolean {
    const receivers = new Set(
      this.deps.controller.receivers().flatMap(({ seat, rule }) => (rule === undefined ? [] : [seat])),
    );
    let isDone = true;
    for (const [seat, outlet] of outlets) {
      const names = this.cards.flatMap(({ unit, claims, isFree }) =>
        isFree && receivers.has(seat) && claims.some((claim) => claim.seat === seat)
          ? [basename(unit.head.node ?? '')]
          : [],
      );
      try {
        outlet.nameCards(new Set(names));
      } catch (error) {
        isDone = false;
        this.deps.log.warn({ seat, err: error }, 'the names of its cards cannot be looked after');
      }
    }
    return isDone;
  }

  /** Takes in the holder's present state. */
  private take(state: HolderState | undefined): void {
    const before = this.state;
    this.state = state;
    this.isKnown = true;
    this.show(state);
    this.say(before, state);
    const on = runningOn(state);
    const isEmpty = state === undefined || state.cards.length + state.sockets.length + on.length === 0;
    if (this.cards.length === 0 && isEmpty) {
      rmSync(this.deps.marker, { force: true });
      this.link.close();
    }
    // A seat that must have the whole of a card that was let go waits for this.
    const held = new Set(state?.cards.map(({ number }) => number));
    const running = new Set(on.map(({ seat, node }) => `${seat} ${node}`));
    const isFreed =
      before === undefined ||
      before.cards.some(({ number }) => !held.has(number)) ||
      runningOn(before).some(({ seat, node }) => !running.has(`${seat} ${node}`));
    if (isFreed) void this.deps.controller.serve(this.deps.controller.assignments.freedCards());
    this.schedule();
  }

  /** By seat, the rule that says who may ask for its outputs. */
  private rules(): Map<string, Rule> {
    return new Map(this.cards.flatMap(({ claims }) => claims.map(({ seat, rule }) => [seat, rule] as const)));
  }

  /** Puts the sockets that the holder has made where the seats see them. */
  private show(state: HolderState | undefined): void {
    const outlets = this.deps.controller.outlets();
    const rules = this.rules();
    for (const { seat, inode } of state?.sockets ?? []) {
      const rule = rules.get(seat);
      try {
        if (rule !== undefined) outlets.get(seat)?.show(inode, rule);
      } catch (error) {
        this.deps.log.debug({ seat, err: error }, 'the socket for leases is not there yet');
      }
    }
  }

  private say(before: HolderState | undefined, now: HolderState | undefined): void {
    const was = leasesOf(before);
    const is = leasesOf(now);
    for (const [key, lease] of is) {
      if (!was.has(key)) this.deps.tell({ kind: 'outputs', ...lease, state: 'leased' });
    }
    for (const [key, lease] of was) {
      if (is.has(key)) continue;
      const isTaken = now === undefined || now.revoked.some(({ seat }) => seat === lease.seat);
      this.deps.tell({ kind: 'outputs', ...lease, state: isTaken ? 'taken back' : 'ended' });
    }
  }
}

const leasesOf = (state: HolderState | undefined) =>
  new Map(
    (state?.cards ?? []).flatMap(({ node, seats }) =>
      seats.flatMap(({ seat, leased, since }) =>
        leased.length === 0 ? [] : [[`${node} ${seat} ${since}`, { seat, device: node, outputs: leased }] as const],
      ),
    ),
  );

function wantedCard({ unit: { head }, claims, isFree }: SplitCard): WantedCard[] {
  const { node, number, incarnation = '' } = head;
  if (node === undefined || number === undefined || !isFree) return [];
  return [{ node, number: numberText(number), incarnation, seats: claims.map(seatOutputs) }];
}

const seatOutputs = ({ seat, outputs = [] }: Claim) => ({
  seat,
  connectors: outputs.map(({ connector }) => connector),
});
