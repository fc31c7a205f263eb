import { closeSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { duplicate, listenAt } from '../kernel/unix-listener.js';

/** So many are let in before other events get their turn. */
const atOnce = 16;
/** When there was no descriptor left to open it with, it is tried again after this, ms. */
const againMs = 1000;

/**
 * A unix socket that lets in only so many at a time. Node accepts as long as anybody waits, so a client that connects
 * without end would keep the event loop for himself. The socket outlives Node's server on it: while that one is away,
 * the kernel lets new clients wait, and refuses them with `EAGAIN` when too many do (unix(7)).
 */
export class Door {
  private listener: number | undefined;
  private server: Server | undefined;
  private entered = 0;
  private timer: NodeJS.Timeout | NodeJS.Immediate | undefined;

  /** `restMs`: how long it has to stay shut before the next ones are let in, ms. `take`: is handed everybody. */
  constructor(
    private readonly path: string,
    private readonly mode: number,
    private readonly restMs: () => number,
    private readonly take: (socket: Socket) => void,
  ) {}

  /** @throws SysError when the socket cannot be made */
  listen(): void {
    this.listener = listenAt(this.path, this.mode);
    this.open();
  }

  close(): void {
    if (this.listener === undefined) return;
    this.shut();
    clearTimeout(this.timer as NodeJS.Timeout | undefined);
    clearImmediate(this.timer as NodeJS.Immediate | undefined);
    closeSync(this.listener);
    this.listener = undefined;
    rmSync(this.path, { force: true });
  }

  private open(): void {
    if (this.listener === undefined) return;
    const rest = this.restMs();
    if (rest > 0) {
      this.openIn(rest);
      return;
    }
    let fd: number;
    try {
      fd = duplicate(this.listener);
    } catch {
      this.openIn(againMs);
      return;
    }
    this.entered = 0;
    this.server = createServer((socket) => this.enter(socket));
    // Node could not use the descriptor, which is its own to close.
    this.server.on('error', () => {
      this.shut();
      this.openIn(againMs);
    });
    this.server.listen({ fd });
  }

  private openIn(ms: number): void {
    this.timer = setTimeout(() => this.open(), ms);
  }

  private enter(socket: Socket): void {
    this.entered += 1;
    this.take(socket);
    if (this.server === undefined || (this.entered < atOnce && this.restMs() === 0)) return;
    this.shut();
    this.timer = setImmediate(() => this.open());
  }

  /** At once: Node takes no waiting client any more. */
  private shut(): void {
    this.server?.close();
    this.server = undefined;
  }
}
