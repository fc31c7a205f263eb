import type { Socket } from 'node:net';
import { constants } from 'node:os';
import { sendBytes, sendDescriptor } from '../kernel/rights.js';
import { descriptorOf } from '../kernel/socket-descriptor.js';
import type { OpenLease } from './holdings.js';
import type { ServedDevice } from './messages.js';
import type { OpenedDevice } from './opened-device.js';
import { encode, limits, ProtocolError, type SeatdAnswer, SeatdReader, type SeatdRequest } from './seatd.js';

const { errno } = constants;

/** So many requests may come at once, and then so many a second: a display server opens all devices at its start. */
const most = { burst: 512, perSecond: 256 } as const;
/** So many are answered before others have their turn. */
const oneTurn = 16;

/** The seat that a client is at. */
export interface ClientSeat {
  readonly answersSwitch: boolean;
  enter(client: SeatdClient): void;
  leave(client: SeatdClient): void;
  /** Rejects with an errno's name as `code`. */
  open(client: SeatdClient, path: string): Promise<OpenedDevice>;
  /** Whether the seat has outputs of a graphics card at this path. */
  hasOutputs(path: string): boolean;
  /** Hands over a new lease of these outputs, when the seat may have its next one. Rejects with an errno's name as `code`. */
  lease(client: SeatdClient, path: string, hand: (lease: OpenLease) => void): Promise<void>;
  /** Settles with why it could not be taken back; undefined when it was. */
  takeBack(opened: OpenedDevice): Promise<string | undefined>;
  say(text: string): void;
}

/**
 * One connection of a display server. It answers one request after the other, as libseat sends them. A client that
 * sends without end or does not read makes only itself wait.
 */
export class SeatdClient {
  private readonly reader = new SeatdReader();
  /** By device id. A revoked device, or lease, is there until the client closes it. */
  private readonly devices = new Map<number, OpenedDevice | OpenLease | undefined>();
  private nextId = 1;
  private isBusy = false;
  private allowance: number = most.burst;
  private countedAt = performance.now();
  isAtSeat = false;

  constructor(
    private readonly socket: Socket,
    private readonly seat: ClientSeat,
  ) {
    socket.on('data', (bytes: Buffer) => {
      this.reader.push(bytes);
      void this.work();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.leaveSeat());
  }

  get opened(): string[] {
    return [...this.devices.values()].flatMap((opened) => (isDevice(opened) ? opened.device.id : []));
  }

  /** It may open devices from now on. */
  enable(): void {
    this.answer({ say: 'enable-seat' });
  }

  /** Takes back its open files of devices. Settles with the failures, by id. */
  async withdraw(isMeant: (device: ServedDevice) => boolean): Promise<Record<string, string>> {
    const taken: Promise<[string, string | undefined]>[] = [];
    for (const [id, opened] of this.devices) {
      if (!isDevice(opened) || !isMeant(opened.device)) continue;
      this.devices.set(id, undefined);
      taken.push(this.seat.takeBack(opened).then((why) => [opened.device.id, why]));
    }
    const left: Record<string, string> = {};
    for (const [id, why] of await Promise.all(taken)) if (why !== undefined) left[id] = why;
    return left;
  }

  /** Answers the requests that have come, in order. Later requests stay in the kernel meanwhile. */
  private async work(): Promise<void> {
    if (this.isBusy) return;
    this.isBusy = true;
    this.socket.pause();
    try {
      for (let count = 1; !this.socket.destroyed; count++) {
        const request = this.reader.next();
        if (request === undefined) break;
        await this.inTurn(count);
        await this.serve(request);
      }
    } catch (error) {
      if (error instanceof ProtocolError)
        this.seat.say(`a display server that does not speak seatd's protocol: ${error.message}`);
      this.socket.destroy();
    }
    this.isBusy = false;
    if (!this.socket.destroyed) this.socket.resume();
  }

  private async inTurn(count: number): Promise<void> {
    const now = performance.now();
    this.allowance = Math.min(most.burst, this.allowance + ((now - this.countedAt) / 1000) * most.perSecond) - 1;
    this.countedAt = now;
    if (this.allowance < 0) await new Promise((resolve) => setTimeout(resolve, 1000 / most.perSecond));
    else if (count % oneTurn === 0) await new Promise((resolve) => setImmediate(resolve));
  }

  private async serve(request: SeatdRequest): Promise<void> {
    const answer = await this.answerTo(request);
    if (answer !== undefined) this.answer(answer);
    if (request.ask === 'open-seat') this.seat.enter(this);
  }

  /** Undefined: there is none, or it has been sent. */
  private async answerTo(request: SeatdRequest): Promise<SeatdAnswer | undefined> {
    if (!this.isAtSeat && request.ask !== 'open-seat' && request.ask !== 'ping') {
      throw new ProtocolError(`${request.ask} before open-seat`);
    }
    switch (request.ask) {
      case 'open-seat':
        if (this.isAtSeat) throw new ProtocolError('open-seat twice');
        this.isAtSeat = true;
        // Always this name, with any name outside: the records of its devices name no seat, which means this one.
        return { say: 'seat-opened', seat: 'seat0' };
      case 'close-seat':
        this.leaveSeat();
        return { say: 'seat-closed' };
      case 'open-device':
        return this.openDevice(request.path);
      case 'close-device':
        return this.closeDevice(request.device);
      case 'switch-session':
        // There is no other session. A client that does not wait for an answer would take it for the answer to its next
        // request.
        return this.seat.answersSwitch ? refused(errno.EINVAL) : undefined;
      case 'disable-seat':
        // It acknowledges a message that is never sent.
        return refused(errno.EBUSY);
      case 'ping':
        return { say: 'pong' };
    }
  }

  private async openDevice(path: string): Promise<SeatdAnswer | undefined> {
    if (this.devices.size >= limits.devices) return refused(errno.EMFILE);
    let opened: OpenedDevice;
    try {
      if (this.seat.hasOutputs(path)) {
        // Handed over within its turn: later it could be taken back already, and its descriptor something else.
        await this.seat.lease(this, path, (lease) => this.handOver(lease));
        return undefined;
      }
      opened = await this.seat.open(this, path);
    } catch (error) {
      return refused(errnoOf(error));
    }
    this.handOver(opened);
    return undefined;
  }

  /** @throws SysError when the client does not take it */
  private handOver(opened: OpenedDevice | OpenLease): void {
    const id = this.nextId++;
    this.devices.set(id, opened);
    try {
      sendDescriptor(descriptorOf(this.socket), encode({ say: 'device-opened', device: id }), opened.fd);
    } catch (error) {
      // It may have half a message.
      this.socket.destroy();
      throw error;
    }
  }

  /** A revoked device is closed like any other. */
  private async closeDevice(id: number): Promise<SeatdAnswer> {
    if (!this.devices.has(id)) return refused(errno.EBADF);
    const opened = this.devices.get(id);
    this.devices.delete(id);
    if (isDevice(opened)) await this.seat.takeBack(opened);
    else await opened?.end();
    return { say: 'device-closed' };
  }

  private leaveSeat(): void {
    if (!this.isAtSeat) return;
    this.isAtSeat = false;
    void this.withdraw(() => true);
    for (const opened of this.devices.values()) if (opened !== undefined && !isDevice(opened)) void opened.end();
    this.devices.clear();
    this.seat.leave(this);
  }

  /** Never waits: messages that the client does not read are not kept for it. */
  private answer(answer: SeatdAnswer): void {
    if (this.socket.destroyed) return;
    try {
      sendBytes(descriptorOf(this.socket), encode(answer));
    } catch {
      this.socket.destroy();
    }
  }
}

const isDevice = (opened: OpenedDevice | OpenLease | undefined): opened is OpenedDevice =>
  opened !== undefined && 'device' in opened;

const refused = (number: number): SeatdAnswer => ({ say: 'error', errno: number });

const numbers: Readonly<Record<string, number>> = errno;

function errnoOf(error: unknown): number {
  const { code } = error as { readonly code?: unknown };
  return (typeof code === 'string' ? numbers[code] : undefined) ?? errno.EIO;
}
