import { mkdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { dirname } from 'node:path';
import { setImmediate as otherEvents, setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Asker } from '../core/audit.js';
import type { Happening } from '../core/happening.js';
import { Lines } from '../core/lines.js';
import { ControlError, codeOf } from '../core/refusal.js';
import { groupOnHost } from '../host/groups.js';
import { type Peer, peerOf } from '../kernel/peer.js';
import { descriptorOf } from '../kernel/socket-descriptor.js';
import { Allowance } from './allowance.js';
import { Door } from './door.js';
import { Guests } from './guests.js';
import { type Answerable, type Happened, parseRequest, type Response } from './messages.js';
import { isForAdmins, refusal } from './permission.js';
import { rootSocketOf } from './places.js';
import { Refusals } from './refusals.js';

/**
 * Limits of a client. `line`: its longest line, bytes. `idleMs`: its time to send a line. `unread`: its unread answers,
 * bytes. `delayMs`: a client that would wait longer for its turn is sent away. `leaving`: so many dismissed clients get
 * a reason; the others are just closed.
 */
export const limits = { line: 64 * 1024, idleMs: 30_000, unread: 1024 * 1024, delayMs: 10_000, leaving: 64 };
/** The cost of a piece of a line for its sender, ms. */
const pieceMs = 0.05;
/** At the end, clients have this long to read their answers, ms. */
const farewellMs = 1000;

/**
 * The unix sockets that `hotseat status` and the others talk to: one for everybody on the host, and root's. The
 * client's identity, as the kernel gives it, decides what it may ask for, and not the socket. A client that sends too
 * much, nonsense or nothing is answered and dropped, and disturbs nobody.
 */
export class ControlServer {
  private readonly doors: readonly Door[];
  /** The watching clients, each with the user whose time that takes. */
  private readonly watchers = new Map<Socket, number>();
  private readonly sockets = new Set<Socket>();
  private readonly allowance = new Allowance();
  private readonly refusals = new Refusals();
  private readonly guests = new Guests<Socket>((socket, reason) => this.dismiss(socket, reason));
  /** Clients that have been told to go. */
  private readonly leaving = new Set<Socket>();
  private readonly rootPath: string;

  /** `path`: of the socket for everybody. */
  constructor(
    private readonly path: string,
    private readonly handle: (request: Answerable, by: Asker) => Promise<unknown>,
    private readonly log: Logger,
  ) {
    this.rootPath = rootSocketOf(path);
    const serve = (socket: Socket): void => this.serve(socket);
    this.doors = [
      new Door(this.rootPath, 0o600, () => 0, serve),
      new Door(path, 0o666, () => this.allowance.delayOfAll(), serve),
    ];
  }

  /** Rejects when one of the sockets cannot be made. */
  async listen(): Promise<void> {
    mkdirSync(dirname(this.path), { recursive: true, mode: 0o755 });
    mkdirSync(dirname(this.rootPath), { recursive: true, mode: 0o700 });
    for (const door of this.doors) door.listen();
  }

  /** Tells all who watch. A client that does not read is dropped, with the reason if it ever reads it, and delays nobody. */
  readonly tell = (happening: Happening): void => {
    if (this.watchers.size === 0) return;
    const happened: Happened = { time: new Date().toISOString(), ...happening };
    const line = lineOf({ ok: true, result: happened });
    for (const [socket, uid] of this.watchers) {
      const began = performance.now();
      if (socket.writableLength <= limits.unread) {
        if (socket.writable) socket.write(line);
      } else {
        this.watchers.delete(socket);
        reply(socket, { ok: false, code: 'busy', error: 'dropped: it did not read its answers' });
        socket.destroySoon();
        setTimeout(() => socket.destroy(), limits.idleMs).unref();
      }
      this.allowance.spend(uid, performance.now() - began, 0);
    }
  };

  /** Stops listening and drops all clients: an open connection would keep the process from its end. */
  close(): void {
    for (const door of this.doors) door.close();
    for (const socket of this.sockets) {
      socket.destroySoon();
      setTimeout(() => socket.destroy(), farewellMs).unref();
    }
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
    const text = new Lines();
    for await (const chunk of socket) {
      // A client that sends a line in very many pieces pays for each.
      this.allowance.spend(peer.uid, 0, pieceMs);
      const lines = text.take(String(chunk));
      if (text.pending > limits.line || lines.some(({ length }) => length > limits.line)) {
        reply(socket, { ok: false, code: 'bad-request', error: `a request is at most ${limits.line} bytes` });
        return;
      }
      if (lines.length === 0) await this.turn(socket, peer.uid);
      for (const line of lines) {
        await this.turn(socket, peer.uid);
        // It may have been told to go meanwhile.
        if (!socket.writable) return;
        await this.answer(socket, peer, line);
        if (socket.writableNeedDrain) await drained(socket);
        if (!socket.writable) return;
      }
    }
  }

  /** Who it is, a guest until the connection ends; undefined when that cannot be told, or there is no room or time for it. */
  private admit(socket: Socket): Peer | undefined {
    const began = performance.now();
    socket.on('error', () => socket.destroy());
    this.sockets.add(socket);
    socket.on('close', () => {
      this.sockets.delete(socket);
      this.guests.leave(socket);
    });
    let peer: Peer;
    try {
      peer = peerOf(descriptorOf(socket));
    } catch (error) {
      this.log.error({ err: error }, 'a client of the control socket could not be identified');
      socket.destroy();
      return undefined;
    }
    const { uid } = peer;
    const delay = this.allowance.delay(uid);
    if (delay > limits.delayMs) {
      this.turnAway(socket, `this user has asked too much: try again in ${Math.ceil(delay / 1000)} s`);
      // Not to the user: he would never be let in again.
      this.allowance.spendOfAll(performance.now() - began);
      return undefined;
    }
    const refused = this.guests.enter(socket, uid);
    if (refused !== undefined) this.turnAway(socket, refused);
    this.allowance.spend(uid, performance.now() - began);
    return refused === undefined ? peer : undefined;
  }

  /** One whom nobody has listened to yet. */
  private turnAway(socket: Socket, reason: string): void {
    socket.resume();
    this.dismiss(socket, reason);
  }

  /** Tells a client why it has to go. If we closed first, a client that had sent something would never read the reason. */
  private dismiss(socket: Socket, reason: string): void {
    reply(socket, { ok: false, code: 'busy', error: reason });
    if (this.leaving.size >= limits.leaving) {
      socket.destroySoon();
      return;
    }
    this.leaving.add(socket);
    socket.end();
    const timer = setTimeout(() => socket.destroy(), farewellMs).unref();
    socket.on('close', () => {
      clearTimeout(timer);
      this.leaving.delete(socket);
    });
  }

  /** Settles when this user's next request may be read. Everything else that has happened meanwhile comes first. */
  private async turn(socket: Socket, uid: number): Promise<void> {
    await otherEvents();
    // Asked again, because his other connections wait for the same.
    for (let ms = this.allowance.delay(uid); ms > 0 && socket.writable; ms = this.allowance.delay(uid)) {
      socket.setTimeout(0);
      await sleep(ms, undefined, { ref: false });
      socket.setTimeout(limits.idleMs);
    }
  }

  private async answer(socket: Socket, peer: Peer, line: string): Promise<void> {
    const request = parseRequest(line);
    if (typeof request === 'string') {
      this.allowance.spend(peer.uid, 0);
      reply(socket, { ok: false, code: 'bad-request', error: request });
      return;
    }
    const refused = refusal(request.verb, peer, groupOnHost);
    const by = { uid: peer.uid, pid: peer.pid };
    const facts = { verb: request.verb, ...by };
    if (refused === undefined) this.log[isForAdmins(request.verb) ? 'info' : 'debug'](facts, 'asked');
    else {
      this.allowance.spend(peer.uid, 0);
      const times = this.refusals.note(peer.uid);
      if (times !== undefined) this.log.warn({ ...facts, times }, 'refused');
      reply(socket, { ok: false, code: refused.code, error: refused.message, details: refused.details });
      return;
    }
    if (request.verb === 'watch') {
      const full = this.guests.watch(socket);
      if (full === undefined) {
        socket.setTimeout(0);
        this.watchers.set(socket, peer.uid);
      } else reply(socket, { ok: false, code: 'busy', error: full });
      this.allowance.spend(peer.uid, 0);
      return;
    }
    socket.setTimeout(0);
    this.guests.begin(socket);
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
      reply(socket, { ok: false, code: codeOf(error), error: (error as Error).message, details });
    } finally {
      this.guests.end(socket);
      if (!this.watchers.has(socket)) socket.setTimeout(limits.idleMs);
    }
  }
}

/** Settles when a client has read its answers, or has gone. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });
}

const lineOf = (response: Response): Buffer => Buffer.from(`${JSON.stringify(response)}\n`);

function reply(socket: Socket, response: Response): void {
  if (socket.writable) socket.write(lineOf(response));
}
