import type { Socket } from 'node:net';
import type { Lanes } from '../kernel/lanes.js';
import { inodeAt } from '../kernel/unix-listener.js';
import { BusyCardError } from './card.js';
import { Guests } from './guests.js';
import type { CardLessor, OpenLease } from './holdings.js';
import type { SeatState, ServedDevice, ServedSeat } from './messages.js';
import { OpenedDevice } from './opened-device.js';
import { Pace, restMs } from './pace.js';
import { type ClientSeat, SeatdClient } from './seatd-client.js';
import type { Taking } from './taking.js';

/** For display servers, of which one at a time is at the seat. */
const limits = { connections: 8 } as const;
/** So many opens may wait for the kernel; all but a few of them are of clients that have gone. */
const mostOpening = 128;

/** Opens devices; another one in tests. */
export type OpenDevice = (device: ServedDevice) => Promise<OpenedDevice>;

/**
 * Serves the devices of one seat to its display server, as seatd does (seatd(1)), and a lease in the place of a graphics card of
 * which the seat has outputs. The first that comes is at the seat; others wait until it has gone. Only processes of the seat's container are served. A client that comes before the
 * container is known waits.
 */
export class SeatdServer implements ClientSeat {
  private readonly guests = new Guests(
    limits,
    (socket) => this.begin(socket),
    (text) => this.say(text),
  );
  private readonly clients = new Map<Socket, SeatdClient>();
  /** In the order in which they came to the seat; the first one has it. */
  private readonly waiting = new Set<SeatdClient>();
  private devices = new Map<string, ServedDevice>();
  private opening = 0;
  private readonly pace = new Pace(restMs);

  constructor(
    private wanted: ServedSeat,
    private readonly log: (text: string) => void,
    private readonly changed: () => void,
    private readonly lanes: Lanes,
    private readonly taking: Taking,
    private readonly cards: CardLessor,
    private readonly openDevice: OpenDevice = OpenedDevice.open,
  ) {}

  get answersSwitch(): boolean {
    return this.wanted.answersSwitch;
  }

  /** Takes back open files of devices that are not the seat's any more. Settles with the failures, by id. */
  async update(wanted: ServedSeat): Promise<Record<string, string>> {
    this.wanted = wanted;
    // A device is another one when anything of it is.
    const known = new Map([...this.devices.values()].map((device) => [JSON.stringify(device), device]));
    this.devices = new Map(
      wanted.devices.map((device) => [device.path, known.get(JSON.stringify(device)) ?? device] as const),
    );
    const left: Promise<Record<string, string>>[] = [];
    for (const [socket, client] of this.clients) {
      const isOut = this.guests.isOut(socket, wanted.cgroup);
      left.push(client.withdraw((device) => isOut || this.devices.get(device.path) !== device));
    }
    this.guests.admit(wanted.cgroup);
    try {
      this.listen();
    } catch (error) {
      this.say(`no socket: ${(error as Error).message}`);
    }
    this.changed();
    return allOf(left);
  }

  /** Nobody is served any more; all open files are taken back. */
  close(): Promise<Record<string, string>> {
    const left = [...this.clients.values()].map((client) => client.withdraw(() => true));
    this.guests.leave();
    this.guests.shut();
    return allOf(left);
  }

  get state(): SeatState {
    const { seat, path } = this.wanted;
    const [client] = this.waiting;
    return { seat, path, inode: this.guests.inode, isOpen: client !== undefined, opened: client?.opened ?? [] };
  }

  enter(client: SeatdClient): void {
    this.waiting.add(client);
    if (this.isActive(client)) client.enable();
    this.changed();
  }

  leave(client: SeatdClient): void {
    const wasActive = this.isActive(client);
    this.waiting.delete(client);
    const [next] = this.waiting;
    if (wasActive) next?.enable();
    this.changed();
  }

  async open(client: SeatdClient, path: string): Promise<OpenedDevice> {
    if (!this.isActive(client)) throw refusal('EPERM');
    const device = this.devices.get(path);
    if (device === undefined) throw refusal('ENOENT');
    if (this.opening >= mostOpening) throw refusal('EBUSY');
    this.opening += 1;
    const opened = await this.lanes
      .run(device.id, () => this.openDevice(device))
      .finally(() => {
        this.opening -= 1;
      });
    // Nobody has it yet: while it was being opened it may have been taken from the seat, or the client may have gone.
    if (this.devices.get(path) === device && this.isActive(client)) {
      setImmediate(this.changed);
      return opened;
    }
    void this.takeBack(opened);
    throw refusal('ENODEV');
  }

  hasOutputs(path: string): boolean {
    return this.cards.hasOutputs(this.wanted.seat, path);
  }

  async lease(client: SeatdClient, path: string, hand: (lease: OpenLease) => void): Promise<void> {
    if (!(await this.pace.turn(() => this.isActive(client)))) throw refusal('EPERM');
    try {
      await this.cards.openCard(this.wanted.seat, path, client, (lease) => {
        if (!this.isActive(client)) throw new Error('its display server has gone');
        hand(lease);
      });
    } catch (error) {
      this.say(`${path}: ${(error as Error).message}`);
      throw refusal(error instanceof BusyCardError ? 'EBUSY' : 'ENODEV');
    }
  }

  takeBack(opened: OpenedDevice): Promise<string | undefined> {
    return this.taking.take(opened, this.lanes);
  }

  say(text: string): void {
    this.log(`${this.wanted.seat}: ${text}`);
  }

  private isActive(client: SeatdClient): boolean {
    const [first] = this.waiting;
    return first === client;
  }

  /** Listens where the agent wants it, if nobody can see the socket that there is. */
  private listen(): void {
    const { inode } = this.guests;
    const isThere = inode !== '' && (inode === this.wanted.shown || inode === inodeAt(this.wanted.path));
    if (!isThere) this.guests.listen(this.wanted.path);
  }

  private begin(socket: Socket): void {
    this.clients.set(socket, new SeatdClient(socket, this));
    socket.on('close', () => this.clients.delete(socket));
  }
}

async function allOf(left: readonly Promise<Record<string, string>>[]): Promise<Record<string, string>> {
  return Object.assign({}, ...(await Promise.all(left)));
}

const refusal = (code: string): Error => Object.assign(new Error(code), { code });
