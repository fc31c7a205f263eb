import { createServer, type Server, type Socket } from 'node:net';
import { inodeAt, listenAt } from '../kernel/unix-listener.js';
import { Pace, restMs } from './pace.js';

/** How many may be connected at once, and how long a client may say nothing, ms: clients are in a container. */
const limits = { connections: 8, idleMs: 10_000, line: 128 } as const;

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
  readonly inode: string;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private readonly pace = new Pace(restMs);

  /** Makes the socket at a path where only root gets. @throws SysError */
  constructor(
    readonly seat: string,
    readonly path: string,
    private readonly lessor: Lessor,
  ) {
    const fd = listenAt(path, 0o600);
    this.inode = inodeAt(path) ?? '';
    this.server = createServer((socket) => this.enter(socket));
    this.server.maxConnections = limits.connections;
    this.server.listen({ fd });
  }

  /** Nobody else gets in; a lease that was given stays. */
  close(): void {
    this.server.close();
  }

  /** Nobody gets in, and all clients go. */
  shut(): void {
    this.close();
    for (const socket of this.sockets) socket.destroy();
  }

  private enter(socket: Socket): void {
    this.sockets.add(socket);
    let text = '';
    socket.setTimeout(limits.idleMs, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.sockets.delete(socket);
      this.lessor.ended(this.seat, socket);
    });
    socket.on('data', (data) => {
      text += data.toString('latin1');
      const end = text.indexOf('\n');
      if (end < 0) {
        if (text.length > limits.line) socket.destroy();
        return;
      }
      // One request a connection.
      socket.removeAllListeners('data').resume();
      setTimeout(() => void this.answer(socket, text.slice(0, end)), this.pace.next());
    });
  }

  private async answer(socket: Socket, line: string): Promise<void> {
    if (socket.destroyed) return;
    const asked = /^lease(?: (card\d{1,4}))?$/.exec(line);
    const nothingOf = /^empty (card\d{1,4})$/.exec(line)?.[1];
    try {
      if (nothingOf !== undefined) {
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
