import type { Socket } from 'node:net';
import { basename } from 'node:path';
import { sendDescriptor } from '../kernel/rights.js';
import { descriptorOf } from '../kernel/socket-descriptor.js';
import { HeldCard, type Say } from './card.js';
import type { HolderState, Wanted, WantedSocket } from './messages.js';
import { type Lessor, SeatSocket } from './seat-socket.js';

/** A card that somebody else is master of is asked for again this often, ms. */
const againMs = 1000;

/**
 * All that the holder has: cards, leases, and the sockets of the seats. It compares its state with the agent's last
 * wishes, and keeps all of it while there is no agent.
 */
export class Holdings implements Lessor {
  private cards: HeldCard[] = [];
  private readonly sockets = new Map<string, SeatSocket>();
  /**
   * By seat, the connection of the display server with the present lease, or with the last one if that was taken back.
   */
  private readonly servers = new Map<string, { readonly socket: Socket; readonly card: HeldCard }>();
  private timer: NodeJS.Timeout | undefined;

  /** `changed`: called whenever the state is another. */
  constructor(
    private readonly say: Say,
    private readonly changed: () => void,
  ) {}

  /** Takes in the wanted cards and seats from now on. Departures come before arrivals. */
  want({ cards, sockets }: Wanted): void {
    for (const held of this.cards.filter((one) => !cards.some((card) => one.isSame(card)))) {
      held.divide([]);
      held.close();
    }
    const kept = this.cards.filter((one) => cards.some((card) => one.isSame(card)));
    this.cards = cards.map((card) => kept.find((one) => one.isSame(card)) ?? new HeldCard(card, this.say));
    for (const [index, card] of cards.entries()) this.cards[index]?.divide(card.seats);
    this.serve(sockets);
    this.take();
  }

  get state(): HolderState {
    return {
      pid: process.pid,
      cards: this.cards.map(({ state }) => state),
      revoked: [...this.servers].flatMap(([seat, { card }]) =>
        card.isLeasedTo(seat) ? [] : [{ seat, node: card.node }],
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
    const former = this.servers.get(seat);
    this.servers.delete(seat);
    former?.card.ended(seat);
    former?.socket.destroy();
    const { fd, outputs } = card.lease(seat);
    this.servers.set(seat, { socket, card });
    try {
      const answer = { card: basename(card.node), outputs };
      sendDescriptor(descriptorOf(socket), Buffer.from(`${JSON.stringify(answer)}\n`), fd);
    } catch (error) {
      this.ended(seat, socket);
      throw error;
    }
    this.changed();
  }

  ended(seat: string, socket: Socket): void {
    const server = this.servers.get(seat);
    if (server?.socket !== socket) return;
    this.servers.delete(seat);
    server.card.ended(seat);
    this.changed();
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
