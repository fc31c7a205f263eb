import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { basename } from 'node:path';
import { sendDescriptor } from '../kernel/rights.js';
import { descriptorOf } from '../kernel/socket-descriptor.js';
import { type CardCalls, type HandedLease, HeldCard, type Say } from './card.js';
import { UnshownError, type WantedName } from './identify-messages.js';
import type { HolderState, Wanted, WantedSocket } from './messages.js';
import { type Lessor, SeatSocket } from './seat-socket.js';

/** A card that somebody else is master of is asked for again this often, ms. */
const againMs = 1000;

/** A lease that a display server has of one card. Its descriptor is there for as long as the lease is. */
export interface OpenLease {
  readonly fd: number;
  /** The display server needs it no more. Nothing happens when it was taken back before, or another one has the outputs. */
  end(): void;
}

/** Cards that seats' display servers may open by their paths. */
export interface CardLessor {
  /** Whether the seat has outputs of a card at this path. */
  hasOutputs(seat: string, path: string): boolean;
  /**
   * A new lease of these outputs for a display server, `server`: any object that no other one has. The display server that
   * had a lease before loses it.
   * @throws with words for the log
   */
  openCard(seat: string, path: string, server: object): OpenLease;
}

/** A display server with its present leases, or with the last ones, if they were taken back while it runs on. */
interface DisplayServer {
  readonly server: object;
  /** By card. */
  readonly leases: Map<HeldCard, OpenLease>;
  /** Another one has the outputs now. */
  readonly replaced: () => void;
}

/**
 * All that the holder has: cards, leases, and the sockets of the seats. It compares its state with the agent's last
 * wishes, and keeps all of it while there is no agent.
 */
export class Holdings implements Lessor, CardLessor {
  private cards: HeldCard[] = [];
  private readonly sockets = new Map<string, SeatSocket>();
  private readonly servers = new Map<string, DisplayServer>();
  private timer: NodeJS.Timeout | undefined;

  /** `changed`: called whenever the state is another. */
  constructor(
    private readonly say: Say,
    private readonly changed: () => void,
    private readonly calls?: CardCalls,
  ) {}

  /** Takes in the wanted cards and seats from now on. Departures come before arrivals. */
  want({ cards, sockets }: Wanted): void {
    for (const held of this.cards.filter((one) => !cards.some((card) => one.isSame(card)))) {
      held.divide([]);
      held.close();
    }
    const kept = this.cards.filter((one) => cards.some((card) => one.isSame(card)));
    this.cards = cards.map((card) => kept.find((one) => one.isSame(card)) ?? new HeldCard(card, this.say, this.calls));
    for (const [index, card] of cards.entries()) this.cards[index]?.divide(card.seats);
    this.serve(sockets);
    this.take();
  }

  get state(): HolderState {
    return {
      pid: process.pid,
      cards: this.cards.map(({ state }) => state),
      revoked: [...this.servers].flatMap(([seat, { leases }]) =>
        [...leases.keys()].flatMap((card) => (card.isLeasedTo(seat) ? [] : [{ seat, node: card.node }])),
      ),
      sockets: [...this.sockets.values()].map(({ seat, path, inode }) => ({ seat, path, inode })),
    };
  }

  lease(seat: string, name: string | undefined, socket: Socket): void {
    const mine = this.cards.filter((card) => card.has(seat));
    const named = name === undefined ? mine : mine.filter(({ node }) => basename(node) === name);
    const [card, ...others] = named;
    if (card === undefined) {
      throw new Error(name === undefined ? 'this seat has no output' : `this seat has no output of ${name}`);
    }
    if (others.length > 0) {
      throw new Error(
        `this seat has outputs of several cards, say which: ${mine.map(({ node }) => basename(node)).join(', ')}`,
      );
    }
    const { fd, outputs } = this.lend(seat, card, socket, () => socket.destroy());
    try {
      const answer = { card: basename(card.node), outputs };
      sendDescriptor(descriptorOf(socket), Buffer.from(`${JSON.stringify(answer)}\n`), fd);
    } catch (error) {
      this.ended(seat, socket);
      throw error;
    }
  }

  ended(seat: string, socket: Socket): void {
    const known = this.servers.get(seat);
    if (known?.server !== socket) return;
    for (const lease of [...known.leases.values()]) lease.end();
  }

  leaseNothing(seat: string, name: string, socket: Socket): void {
    const card = this.cards.find((one) => basename(one.node) === name && one.has(seat));
    if (card === undefined) throw new Error(`this seat has no output of ${name}`);
    const fd = card.leaseNothing(seat);
    try {
      sendDescriptor(descriptorOf(socket), Buffer.from(`${JSON.stringify({ card: name })}\n`), fd);
    } finally {
      closeSync(fd);
    }
  }

  hasOutputs(seat: string, path: string): boolean {
    return this.cardAt(seat, path) !== undefined;
  }

  openCard(seat: string, path: string, server: object): OpenLease {
    const card = this.cardAt(seat, path);
    if (card === undefined) throw new Error(`this seat has no output of ${path}`);
    return this.lend(seat, card, server, () => undefined);
  }

  private cardAt(seat: string, path: string): HeldCard | undefined {
    return this.cards.find((card) => card.node === path && card.has(seat));
  }

  /** @throws with words for the client */
  private lend(seat: string, card: HeldCard, server: object, replaced: () => void): OpenLease & HandedLease {
    const former = this.servers.get(seat);
    if (former !== undefined && former.server !== server) {
      this.servers.delete(seat);
      for (const one of former.leases.keys()) one.ended(seat);
      former.replaced();
    }
    try {
      const handed = card.lease(seat);
      const lease = { ...handed, end: () => this.endOf(seat, card, lease) };
      const known = this.servers.get(seat) ?? { server, leases: new Map<HeldCard, OpenLease>(), replaced };
      this.servers.set(seat, known);
      // Another plugging of the same card is another card.
      for (const one of known.leases.keys()) if (one.node === card.node) known.leases.delete(one);
      known.leases.set(card, lease);
      return lease;
    } finally {
      this.changed();
    }
  }

  private endOf(seat: string, card: HeldCard, lease: OpenLease): void {
    const known = this.servers.get(seat);
    if (known?.leases.get(card) !== lease) return;
    known.leases.delete(card);
    if (known.leases.size === 0) this.servers.delete(seat);
    card.ended(seat);
    this.changed();
  }

  /**
   * Shows the name of an output on it.
   * @throws UnshownError with words for people
   */
  async identify(wanted: WantedName): Promise<void> {
    const card = this.cards.find(({ node }) => node === wanted.node);
    if (card === undefined) throw new UnshownError('failed', `the holder does not have ${wanted.node}`);
    await card.name.identify(wanted);
  }

  private serve(wanted: readonly WantedSocket[]): void {
    for (const [seat, socket] of this.sockets) {
      if (wanted.some((one) => one.seat === seat && one.path === socket.path)) continue;
      socket.close();
      this.sockets.delete(seat);
    }
    for (const { seat, path, shown } of wanted) {
      const known = this.sockets.get(seat);
      if (known !== undefined && known.inode === shown) continue;
      try {
        // A socket that nobody sees yet waits at its path. A socket that nobody can see any more is of no use.
        const made = new SeatSocket(seat, path, this);
        known?.close();
        this.sockets.set(seat, made);
      } catch (error) {
        this.say(`${seat}: no socket: ${(error as Error).message}`);
      }
    }
  }

  private take(): void {
    clearTimeout(this.timer);
    const before = JSON.stringify(this.cards.map(({ isHeld }) => isHeld));
    for (const card of this.cards) card.take();
    if (this.cards.some(({ isHeld }) => !isHeld)) this.timer = setTimeout(() => this.take(), againMs);
    if (before !== JSON.stringify(this.cards.map(({ isHeld }) => isHeld))) this.changed();
  }
}
