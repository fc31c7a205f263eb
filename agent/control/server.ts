import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Logger } from 'pino';
import { ControlError } from './error.js';
import { parseRequest, type Request, type Response } from './messages.js';

/** Longest line that a client may send, bytes, and how long it may take to send one, ms. */
const limits = { line: 64 * 1024, idleMs: 30_000 };

/**
 * The unix socket that `hotseat status` and the others talk to. Owner and group may connect (0660); a client that sends
 * too much, nonsense or nothing is answered and dropped, and disturbs nobody.
 */
export class ControlServer {
  private readonly server: Server;

  constructor(
    private readonly path: string,
    private readonly handle: (request: Request) => Promise<unknown>,
    private readonly log: Logger,
  ) {
    this.server = createServer((socket) => this.serve(socket));
  }

  listen(): Promise<void> {
    mkdirSync(dirname(this.path), { recursive: true, mode: 0o755 });
    rmSync(this.path, { force: true });
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(this.path, () => {
        chmodSync(this.path, 0o660);
        resolve();
      });
    });
  }

  close(): void {
    this.server.close();
    rmSync(this.path, { force: true });
  }

  private serve(socket: Socket): void {
    let buffered = '';
    socket.setEncoding('utf8');
    socket.setTimeout(limits.idleMs, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: string) => {
      buffered += chunk;
      if (buffered.length > limits.line) {
        reply(socket, { ok: false, error: `a request is at most ${limits.line} bytes` });
        socket.destroy();
        return;
      }
      const lines = buffered.split('\n');
      buffered = lines.pop() ?? '';
      for (const line of lines) void this.answer(socket, line);
    });
  }

  private async answer(socket: Socket, line: string): Promise<void> {
    const request = parseRequest(line);
    if (typeof request === 'string') {
      reply(socket, { ok: false, error: request });
      return;
    }
    if (request.verb === 'wait') socket.setTimeout(0);
    try {
      reply(socket, { ok: true, result: (await this.handle(request)) ?? null });
    } catch (error) {
      const details = error instanceof ControlError ? error.details : [];
      this.log.debug({ err: error, verb: request.verb }, 'request failed');
      reply(socket, { ok: false, error: (error as Error).message, details });
    }
  }
}

function reply(socket: Socket, response: Response): void {
  if (!socket.destroyed) socket.write(`${JSON.stringify(response)}\n`);
}
