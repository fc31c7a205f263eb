// QEMU's machine protocol: JSON lines over a unix socket.

import { EventEmitter } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { waitingFor } from './waiting.js';

export class QmpError extends Error {
  override name = 'QmpError';
}

interface Message {
  readonly id?: number;
  readonly return?: unknown;
  readonly error?: { class: string; desc: string };
  readonly event?: string;
  readonly data?: Record<string, unknown>;
}

export class Qmp {
  readonly events = new EventEmitter<{ event: [name: string, data: Record<string, unknown>] }>();
  private readonly socket: Socket;
  private readonly waiting = new Map<
    number,
    { command: string; resolve(value: unknown): void; reject(error: Error): void }
  >();
  private next = 1;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.events.setMaxListeners(50);
    // The socket's own error comes through the interface as well; 'close' tells the waiters.
    createInterface({ input: socket })
      .on('error', () => undefined)
      .on('line', (line) => this.take(JSON.parse(line) as Message));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      for (const { command, reject } of this.waiting.values()) reject(new QmpError(`${command}: QEMU is gone`));
      this.waiting.clear();
    });
  }

  static async connect(path: string): Promise<Qmp> {
    const socket = createConnection(path);
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    const qmp = new Qmp(socket);
    await qmp.run('qmp_capabilities');
    return qmp;
  }

  /** QEMU's answer to a command. A save point is the longest of them: seconds, on a busy machine more. */
  run(command: string, args: Record<string, unknown> = {}, timeoutMs = 180_000): Promise<unknown> {
    if (this.socket.destroyed) return Promise.reject(new QmpError(`${command}: QEMU is gone`));
    const id = this.next++;
    const answer = new Promise((resolve, reject) => {
      const late = () => {
        this.waiting.delete(id);
        reject(new QmpError(`${command}: no answer within ${timeoutMs / 1000} s`));
      };
      const timer = setTimeout(late, timeoutMs);
      const ended =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          settle(value);
        };
      this.waiting.set(id, { command, resolve: ended(resolve), reject: ended(reject) });
      this.socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
    return waitingFor(`QEMU's answer to ${command}`, answer);
  }

  /** A command of QEMU's human monitor, which prints only on failure. */
  async human(line: string): Promise<void> {
    const text = String(await this.run('human-monitor-command', { 'command-line': line })).trim();
    if (text) throw new QmpError(`${line}: ${text}`);
  }

  /** Resolves at the event; call it before the command that causes it. */
  event(name: string, where: (data: Record<string, unknown>) => boolean, timeoutMs: number): Promise<void> {
    const happened = new Promise<void>((resolve, reject) => {
      const listener = (event: string, data: Record<string, unknown>) => {
        if (event === name && where(data)) end(resolve);
      };
      const timer = setTimeout(() => end(() => reject(new QmpError(`no ${name} within ${timeoutMs} ms`))), timeoutMs);
      timer.unref();
      const end = (then: () => void) => {
        clearTimeout(timer);
        this.events.off('event', listener);
        then();
      };
      this.events.on('event', listener);
    });
    return waitingFor(`QEMU's event ${name}`, happened);
  }

  close(): void {
    this.socket.destroy();
  }

  private take(message: Message): void {
    if (message.event) {
      this.events.emit('event', message.event, message.data ?? {});
      return;
    }
    const waiting = message.id === undefined ? undefined : this.waiting.get(message.id);
    if (!waiting || message.id === undefined) return;
    this.waiting.delete(message.id);
    if (message.error) waiting.reject(new QmpError(`${waiting.command}: ${message.error.desc}`));
    else waiting.resolve(message.return);
  }
}
