import type { Socket } from 'node:net';
import { basename } from 'node:path';
import { Lanes } from '../kernel/lanes.js';
import { sendDescriptor } from '../kernel/rights.js';
import { descriptorOf } from '../kernel/socket-descriptor.js';
import { soon } from '../kernel/soon.js';
import { BusyCardError, type CardCalls, HeldCard, type Lease, type Say } from './card.js';
import { UnshownError, type WantedName } from './identify-messages.js';
import type { HolderState, Wanted, WantedSocket } from './messages.js';
import { namePatience, patience } from './patience.js';
import { type Lessor, SeatSocket } from './seat-socket.js';

/** A card that somebody else is master of is asked for again this often, ms. */
const againMs = 1000;

/**
 * So many threads may all cards take at once, while the kernel is at work for them: the seats' inputs have the others
 * (hotseat-holder.service).
 */
const threads = 8;

/** So many display servers of a seat are known that others have replaced: their connections are among the few that a seat may have. */
const mostReplaced = 4;

/** Longest that a client waits for a card, ms: a little longer than the card takes to be a silent one. */
const clientPatience = patience + 250;

/** A lease that a display server has of one card. Its descriptor is there for as long as the lease is. */
export interface OpenLease {
  readonly fd: number;
  /**
   * The display server needs it no more. Nothing happens when it was taken back before, or another one has the outputs. Settles
   * when it is taken back, or does not answer in time.
   */
  end(): Promise<void>;
}

/** Cards that seats' display servers may open by their paths. */
export interface CardLessor {
  /** Whether the seat has outputs of a card at this path. */
  hasOutputs(seat: string, path: string): boolean;
  /**
   * Hands a new lease of these outputs to a display server, `server`: any object that no other one has. The display server that
   * had a lease before loses it. When `hand` throws, the lease is taken back. Rejects with words for the log, with
   * BusyCardError where that takes too long; then nothing is handed over any more.
   */
  openCard(seat: string, path: string, server: object, hand: (lease: OpenLease) => void): Promise<void>;
}

/** A display server with its present leases, or with the last ones, if they were taken back while it runs on. */
interface DisplayServer {
  readonly server: object;
  /** By card; none while it waits for its first one. */
  readonly leases: Map<HeldCard, Lease>;
  /** Nobody waits for its end any more. */
  readonly forgotten: () => void;
}

/**
 * All that the holder has: cards, leases, and the sockets of the seats. It compares its state with the agent's last
 * wishes, and keeps all of it while there is no agent.
 */
export class Holdings implements Lessor, CardLessor {
  private cards: HeldCard[] = [];
  /** Cards that are being let go. */
  private readonly leaving = new Map<HeldCard, Promise<void>>();
  private readonly lanes = new Lanes(threads);
  private readonly sockets = new Map<string, SeatSocket>();
  private readonly servers = new Map<string, DisplayServer>();
  /** Display servers that run on although another one of their seat has their outputs now. */
  private readonly replaced = new Set<DisplayServer & { readonly seat: string }>();
  /** Display servers that wait for a lease of a card, also in the place of one that they have of it. */
  private readonly asking = new Map<DisplayServer, HeldCard>();
  private timer: NodeJS.Timeout | undefined;

  /** `changed`: called whenever the state is another. */
  constructor(
    private readonly say: Say,
    private readonly changed: () => void,
    private readonly calls?: CardCalls,
  ) {}

  /**
   * Takes in the wanted cards and seats from now on. Departures come before arrivals. Settles when all departures are done, which
   * somebody can hold up for as long as he likes.
   */
  async want({ cards, sockets }: Wanted): Promise<void> {
    for (const one of this.cards.filter((held) => !cards.some((card) => held.isSame(card)))) {
      this.leaving.set(one, this.letGo(one));
    }
    const departures = [...this.leaving.values()];
    const kept = this.cards.filter((one) => cards.some((card) => one.isSame(card)));
    this.cards = cards.map((card) => kept.find((one) => one.isSame(card)) ?? this.newCard(card));
    for (const [index, card] of this.cards.entries()) departures.push(card.divide(cards[index]?.seats ?? []));
    this.serve(sockets);
    this.take();
    await Promise.all(departures);
  }

  private newCard(card: Wanted['cards'][number]): HeldCard {
    const { say, changed, lanes, calls } = this;
    return new HeldCard(card, { say, changed, lanes, calls });
  }

  private async letGo(card: HeldCard): Promise<void> {
    void card.divide([]);
    await card.close();
    this.leaving.delete(card);
    this.changed();
  }

  get state(): HolderState {
    return {
      pid: process.pid,
      // Nobody else gets a card before it has been let go.
      cards: [...this.cards, ...this.leaving.keys()].map(({ state }) => state),
      revoked: [...this.servers].flatMap(([seat, server]) =>
        [...server.leases.keys()].flatMap((card) =>
          card.isLeasedTo(seat) || this.asking.get(server)?.node === card.node ? [] : [{ seat, node: card.node }],
        ),
      ),
      replaced: [...this.replaced].flatMap(({ seat, leases }) =>
        [...leases.keys()].map(({ node }) => ({ seat, node })),
      ),
      sockets: [...this.sockets.values()].map(({ seat, path, inode }) => ({ seat, path, inode })),
    };
  }

  async lease(seat: string, name: string | undefined, socket: Socket): Promise<void> {
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
    const forgotten = () => void socket.destroy();
    await this.lend(seat, card, { server: socket, leases: new Map(), forgotten }, ({ fd, outputs }) => {
      const answer = { card: basename(card.node), outputs: outputs.map(({ connector }) => connector) };
      sendDescriptor(descriptorOf(socket), Buffer.from(`${JSON.stringify(answer)}\n`), fd);
    });
  }

  ended(seat: string, socket: Socket): void {
    for (const one of this.replaced) if (one.server === socket && this.replaced.delete(one)) this.changed();
    const known = this.servers.get(seat);
    if (known?.server !== socket) return;
    this.servers.delete(seat);
    for (const [card, lease] of known.leases) void card.ended(lease);
    this.changed();
  }

  async leaseNothing(seat: string, name: string, socket: Socket): Promise<void> {
    const card = this.cards.find((one) => basename(one.node) === name && one.has(seat));
    if (card === undefined) throw new Error(`this seat has no output of ${name}`);
    await inTime(card, (isAwaited) =>
      card.leaseNothing(seat, {
        isAwaited: () => isAwaited() && !socket.destroyed,
        hand: (fd) => sendDescriptor(descriptorOf(socket), Buffer.from(`${JSON.stringify({ card: name })}\n`), fd),
      }),
    );
  }

  hasOutputs(seat: string, path: string): boolean {
    return this.cardAt(seat, path) !== undefined;
  }

  async openCard(seat: string, path: string, server: object, hand: (lease: OpenLease) => void): Promise<void> {
    const card = this.cardAt(seat, path);
    if (card === undefined) throw new Error(`this seat has no output of ${path}`);
    const asker = { server, leases: new Map<HeldCard, Lease>(), forgotten: () => undefined };
    await this.lend(seat, card, asker, (lease) => hand({ fd: lease.fd, end: () => this.endOf(seat, card, lease) }));
  }

  private cardAt(seat: string, path: string): HeldCard | undefined {
    return this.cards.find((card) => card.node === path && card.has(seat));
  }

  /** Rejects with words for the client. */
  private async lend(seat: string, card: HeldCard, asker: DisplayServer, hand: (lease: Lease) => void): Promise<void> {
    // Before anybody loses anything for it.
    card.refuseSilent();
    const former = this.servers.get(seat);
    if (former !== undefined && former.server !== asker.server) {
      for (const [one, lease] of former.leases) void one.ended(lease);
      this.remember(seat, former);
    }
    const known = former?.server === asker.server ? former : asker;
    this.servers.set(seat, known);
    this.asking.set(known, card);
    try {
      await inTime(card, (isAwaited) =>
        card.lease(seat, {
          isAwaited: () => isAwaited() && this.servers.get(seat) === known,
          hand: (lease) => {
            hand(lease);
            // Another plugging of the same card is another card.
            for (const one of known.leases.keys()) if (one.node === card.node) known.leases.delete(one);
            known.leases.set(card, lease);
          },
        }),
      );
    } finally {
      this.asking.delete(known);
      if (known.leases.size === 0 && this.servers.get(seat) === known) this.servers.delete(seat);
      this.changed();
    }
  }

  /** Of a seat that replaces its display servers without end, the last few are waited for: pictures that others then read are its own. */
  private remember(seat: string, former: DisplayServer): void {
    if (former.leases.size === 0) return;
    this.replaced.add({ ...former, seat });
    const [oldest, ...others] = [...this.replaced].filter((one) => one.seat === seat);
    if (oldest === undefined || others.length < mostReplaced) return;
    this.replaced.delete(oldest);
    oldest.forgotten();
  }

  private async endOf(seat: string, card: HeldCard, lease: Lease): Promise<void> {
    for (const one of this.replaced) {
      if (one.leases.get(card) !== lease) continue;
      one.leases.delete(card);
      if (one.leases.size === 0) this.replaced.delete(one);
      this.changed();
    }
    const known = this.servers.get(seat);
    if (known?.leases.get(card) !== lease) return;
    known.leases.delete(card);
    if (known.leases.size === 0) this.servers.delete(seat);
    this.changed();
    await soon(card.ended(lease), patience);
  }

  /**
   * Shows the name of an output on it.
   * @throws UnshownError with words for people
   */
  async identify(wanted: WantedName): Promise<void> {
    const card = this.cards.find(({ node }) => node === wanted.node);
    if (card === undefined) throw new UnshownError('failed', `the holder does not have ${wanted.node}`);
    try {
      await inTime(card, (isAwaited) => card.identify(wanted, isAwaited), namePatience);
    } catch (error) {
      throw error instanceof BusyCardError ? new UnshownError('failed', error.message) : error;
    }
  }

  private serve(wanted: readonly WantedSocket[]): void {
    for (const [seat, socket] of this.sockets) {
      if (wanted.some((one) => one.seat === seat && one.path === socket.path)) continue;
      socket.close();
      this.sockets.delete(seat);
    }
    for (const one of wanted) {
      const known = this.sockets.get(one.seat);
      try {
        // A socket that nobody sees yet waits at its path. A socket that nobody can see any more is of no use.
        if (known === undefined) this.sockets.set(one.seat, new SeatSocket(one, this, this.say));
        else known.want(one);
      } catch (error) {
        this.say(`${one.seat}: no socket: ${(error as Error).message}`);
      }
    }
  }

  private take(): void {
    for (const card of this.cards) if (!card.isHeld) void this.takeOne(card);
  }

  private async takeOne(card: HeldCard): Promise<void> {
    await card.take();
    if (card.isHeld || !this.cards.includes(card)) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.take();
    }, againMs);
  }
}

/** Asks a card for something. Rejects with BusyCardError when that takes too long; then nobody waits for it any more. */
async function inTime(
  card: HeldCard,
  ask: (isAwaited: () => boolean) => Promise<void>,
  ms = clientPatience,
): Promise<void> {
  let isAwaited = true;
  const end = await soon(
    ask(() => isAwaited).then(() => true),
    ms,
  );
  isAwaited = false;
  if (end !== undefined) return;
  card.refuseSilent();
  throw new BusyCardError(card.node);
}
