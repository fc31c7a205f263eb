import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { setImmediate as otherEvents, setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Asker } from '../core/audit.js';
import type { Happening } from '../core/happening.js';
import { groupOnHost } from '../host/groups.js';
import { type Peer, peerOf } from '../kernel/peer.js';
import { Allowance } from './allowance.js';
import { ControlError } from './error.js';
import { type Answerable, type Happened, parseRequest, type Response } from './messages.js';
import { isForAdmins, refusal } from './permission.js';

/**
 * Longest line that a client may send, bytes; how long it may take to send one, ms; how far it may lag behind, bytes;
 * and how many connections one user has who is not root.
 */
const limits = { line: 64 * 1024, idleMs: 30_000, unread: 1024 * 1024, perUser: 32 };
/** At the end, who has not read his answers by then does not get them, ms. */
const farewellMs = 1000;

/**
 * The unix socket that `hotseat status` and the others talk to. Everybody on the host may connect; who may ask for what
 * is decided by who the kernel says it is. A client that sends too much, nonsense or nothing is answered and dropped,
 * and disturbs nobody.
 */
export class ControlServer {
  private readonly server: Server;
  private readonly watchers = new Set<Socket>();
  private readonly sockets = new Set<Socket>();
  private readonly allowance = new Allowance();
  /** Open connections by uid. */
  private readonly connections = new Map<number, number>();

  constructor(
    private readonly path: string,
    private readonly handle: (request: Answerable, by: Asker) => Promise<unknown>,
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
        chmodSync(this.path, 0o666);
        resolve();
      });
    });
  }

  /** Tells all who watch. One that does not read is dropped, with the reason if it ever reads it, and delays nobody. */
  readonly tell = (happening: Happening): void => {
    if (this.watchers.size === 0) return;
    const happened: Happened = { time: new Date().toISOString(), ...happening };
    for (const socket of this.watchers) {
      if (socket.writableLength <= limits.unread) reply(socket, { ok: true, result: happened });
      else {
        this.watchers.delete(socket);
        reply(socket, { ok: false, error: 'dropped: it did not read what it was told' });
        socket.destroySoon();
        setTimeout(() => socket.destroy(), limits.idleMs).unref();
      }
    }
  };

  /** Stops listening and drops all clients: an open connection would keep the process from its end. */
  close(): void {
    this.server.close();
    for (const socket of this.sockets) {
      socket.destroySoon();
      setTimeout(() => socket.destroy(), farewellMs).unref();
    }
    rmSync(this.path, { force: true });
  }

  private serve(socket: Socket): void {
    const peer = this.admit(socket);
    if (peer === undefined) return;
    socket.setEncoding('utf8');
    socket.setTimeout(limits.idleMs, () => socket.destroy());
    socket.on('close', () => this.watchers.delete(socket));
    // A connection that breaks has been dealt with where it was admitted.
    void this.converse(socket, peer).catch(() => undefined);
  }

  /** One request after the other, the next one when the client has read the answer: nobody makes us keep many of them. */
  private async converse(socket: Socket, peer: Peer): Promise<void> {
    let buffered = '';
    for await (const chunk of socket) {
      const lines = `${buffered}${String(chunk)}`.split('\n');
      if (lines.some(({ length }) => length > limits.line)) {
        reply(socket, { ok: false, error: `a request is at most ${limits.line} bytes` });
        return;
      }
      buffered = lines.pop() ?? '';
      for (const line of lines) {
        await this.turn(socket, peer.uid);
        if (socket.destroyed) return;
        await this.answer(socket, peer, line);
        if (socket.writableNeedDrain) await drained(socket);
        if (socket.destroyed) return;
      }
    }
  }

  /** Who it is, counted until the connection ends; undefined, and dropped, when that cannot be told or there are too many. */
  private admit(socket: Socket): Peer | undefined {
    socket.on('error', () => socket.destroy());
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    let peer: Peer;
    try {
      peer = peerOf(descriptorOf(socket));
    } catch (error) {
      this.log.error({ err: error }, 'a client of the control socket could not be identified');
      socket.destroy();
      return undefined;
    }
    const { uid } = peer;
    const count = (this.connections.get(uid) ?? 0) + 1;
    if (uid !== 0 && count > limits.perUser) {
      reply(socket, { ok: false, error: `a user has at most ${limits.perUser} connections` });
      socket.destroySoon();
      return undefined;
    }
    this.connections.set(uid, count);
    socket.on('close', () => {
      const left = (this.connections.get(uid) ?? 1) - 1;
      if (left > 0) this.connections.set(uid, left);
      else this.connections.delete(uid);
    });
    return peer;
  }

  /** Settles when this user's next request may be read. Whatever else has happened meanwhile comes first. */
  private async turn(socket: Socket, uid: number): Promise<void> {
    await otherEvents();
    // Asked again, because his other connections wait for the same.
    for (let ms = this.allowance.delay(uid); ms > 0 && !socket.destroyed; ms = this.allowance.delay(uid)) {
      socket.setTimeout(0);
      await sleep(ms, undefined, { ref: false });
      socket.setTimeout(limits.idleMs);
    }
  }

  private async answer(socket: Socket, peer: Peer, line: string): Promise<void> {
    const request = parseRequest(line);
    if (typeof request === 'string') {
      this.allowance.spend(peer.uid, 0);
      reply(socket, { ok: false, error: request });
      return;
    }
    const refused = refusal(request.verb, peer, groupOnHost);
    const by = { uid: peer.uid, pid: peer.pid };
    const facts = { verb: request.verb, ...by };
    if (refused === undefined) this.log[isForAdmins(request.verb) ? 'info' : 'debug'](facts, 'asked');
    else {
      this.allowance.spend(peer.uid, 0);
      this.log.warn(facts, 'refused');
      reply(socket, { ok: false, error: refused.message, details: refused.details });
      return;
    }
    if (request.verb === 'watch') {
      socket.setTimeout(0);
      this.watchers.add(socket);
      return;
    }
    socket.setTimeout(0);
    const charge = (from: number): void => this.allowance.spend(peer.uid, performance.now() - from);
    try {
      const asked = performance.now();
      const answering = this.handle(request, by);
      charge(asked);
      const result = (await answering) ?? null;
      const answered = performance.now();
      reply(socket, { ok: true, result });
      charge(answered);
    } catch (error) {
      const details = error instanceof ControlError ? error.details : [];
      this.log.debug({ err: error, verb: request.verb }, 'request failed');
      reply(socket, { ok: false, error: (error as Error).message, details });
    } finally {
      if (!this.watchers.has(socket)) socket.setTimeout(limits.idleMs);
    }
  }
}

/** Node has no other way to a socket's descriptor than its handle (lib/net.js). */
function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: number } | null };
  if (handle?.fd === undefined || handle.fd < 0) throw new Error('the connection has no descriptor any more');
  return handle.fd;
}

/** Settles when a client has read what it was told, or has gone. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}

function reply(socket: Socket, response: Response): void {
  if (!socket.destroyed) socket.write(`${JSON.stringify(response)}\n`);
}
