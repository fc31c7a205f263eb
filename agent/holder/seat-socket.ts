import type { Socket } from 'node:net';
import type { Say } from './card.js';
import { Guests } from './guests.js';
import type { WantedSocket } from './messages.js';
import { Pace, Ration, restMs } from './pace.js';

/** How many may be connected at once, and how long a client may say nothing, ms: clients are in a container. */
const limits = { connections: 8, idleMs: 10_000, line: 128 } as const;
/**
 * So many leases of nothing at once, and then one each so many ms: the kernel keeps each for as long as the client does, and
 * nobody can see how long that is (drm_lease.c lists no empty lease). A compositor needs one or two at its start.
 */
const nothings = { most: 16, eachMs: 60_000 } as const;

/** Hands a lease over, and hears when the display server that has it has ended. */
export interface Lessor {
  /** Rejects with words for the client. */
  lease(seat: string, card: string | undefined, socket: Socket): Promise<void>;
  ended(seat: string, socket: Socket): void;
  /** Hands over a lease of nothing, for as long as the descriptor is open. Rejects with words for the client. */
  leaseNothing(seat: string, card: string, socket: Socket): Promise<void>;
}

/**
 * Where a seat's display server gets its lease. It says `lease`, or `lease card1`, and is answered with one line of
 * JSON and the descriptor. The lease lasts as long as the connection: its owner keeps both. `empty card1` is for a seat
 * with a lease of that card: a second one, of nothing, by which wlroots makes its buffers.
 */
export class SeatSocket {
  private readonly guests: Guests;
  private readonly pace = new Pace(restMs);
  private readonly nothings = new Ration(nothings.most, nothings.eachMs);
  private isClosed = false;

  /** Makes the socket at a path where only root gets. @throws SysError */
  constructor(
    private wanted: WantedSocket,
    private readonly lessor: Lessor,
    say: Say,
  ) {
    this.guests = new Guests(
      limits,
      (socket) => this.enter(socket),
      (text) => say(`${this.seat}: ${text}`),
    );
    this.guests.admit(wanted.cgroup);
    this.guests.listen(this.path);
  }

  /** Of the socket at which it listens. */
  get inode(): string {
    return this.guests.inode;
  }

  get seat(): string {
    return this.wanted.seat;
  }

  get path(): string {
    return this.wanted.path;
  }

  /** Lets in who is of the seat's container now, and makes another socket where nobody can see this one. @throws SysError */
  want(wanted: WantedSocket): void {
    this.wanted = wanted;
    this.guests.admit(wanted.cgroup);
    if (wanted.shown !== this.inode) this.guests.listen(this.path);
  }

  /** Nobody else gets in, and nobody is answered any more; a lease that was given stays. */
  close(): void {
    this.isClosed = true;
    this.guests.shut();
  }

  private enter(socket: Socket): void {
    let text = '';
    socket.on('close', () => this.lessor.ended(this.seat, socket));
    socket.on('data', (data) => {
      text += data.toString('latin1');
      const end = text.indexOf('\n');
      if (end < 0) {
        if (text.length > limits.line) socket.destroy();
        return;
      }
      // One request a connection.
      socket.removeAllListeners('data').resume();
      void this.answer(socket, text.slice(0, end));
    });
  }

  private async answer(socket: Socket, line: string): Promise<void> {
    const isThere = await this.pace.turn(() => !socket.destroyed && !this.isClosed);
    if (!isThere) {
      socket.destroy();
      return;
    }
    const asked = /^lease(?: (card\d{1,4}))?$/.exec(line);
    const nothingOf = /^empty (card\d{1,4})$/.exec(line)?.[1];
    try {
      if (nothingOf !== undefined) {
        if (!this.nothings.take())
          throw new Error('this seat has asked for too many empty leases: one more in a minute');
        await this.lessor.leaseNothing(this.seat, nothingOf, socket);
        socket.end();
        return;
      }
      if (asked === null) throw new Error('say lease, or lease and the name of a card');
      await this.lessor.lease(this.seat, asked[1], socket);
      socket.setTimeout(0);
    } catch (error) {
      socket.end(`${JSON.stringify({ error: (error as Error).message })}\n`);
    }
  }
}
