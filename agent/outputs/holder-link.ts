import { createConnection, type Socket } from 'node:net';
import { Lines } from '../core/lines.js';
import { type Identified, isIdentified, type WantedName } from '../holder/identify-messages.js';
import {
  type Done,
  type HolderState,
  holderSocket,
  isDone,
  saidOf,
  type Wanted,
  type WantedSeats,
} from '../holder/messages.js';
import { soon } from '../kernel/soon.js';

/** The holder is looked for again after this, ms. */
const againMs = 1000;

/** Longest that the holder may take to show a name, ms: it asks the monitor what it can show. */
const answerMs = 15_000;

/** More than the state of a PC's cards is no state. */
const longestLine = 1024 * 1024;

export interface LinkEvents {
  /** The holder's state; undefined when it went, and all leases with it. */
  readonly state: (state: HolderState | undefined) => void;
  /** Requests about seats are done. */
  readonly done?: (done: Done) => void;
}

/**
 * The agent's line to the holder. It says all that is wanted, on each new connection as well; the holder says all that it has.
 * systemd starts the holder when somebody connects.
 */
export class HolderLink {
  private socket: Socket | undefined;
  /** The first message on each new connection; undefined while nothing is asked. */
  private greeting: (() => string) | undefined;
  private wanted: string | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** Who waits for an answer about a name, by the number of the request. */
  private readonly names = new Map<number, (answer: Identified) => void>();
  private nextName = 1;
  /** Why there is no line; undefined while there is, or none is needed. */
  problem: string | undefined;
  /** Whether nobody listens there. */
  isAbsent = false;

  constructor(
    private readonly events: LinkEvents,
    private readonly path = holderSocket,
  ) {}

  /** Whether anything is asked of the holder. */
  get isOpen(): boolean {
    return this.greeting !== undefined;
  }

  want(wanted: Wanted): void {
    const line = lineOf(wanted);
    if (line === this.wanted) return;
    this.wanted = line;
    this.say(line, () => line);
  }

  /** Sends a part of the wanted seats; on a new connection `all` of them. */
  wantSeats(part: WantedSeats, all: () => WantedSeats): void {
    this.say(lineOf(part), () => lineOf(all()));
  }

  private say(line: string, greeting: () => string): void {
    this.greeting = greeting;
    if (this.socket === undefined) this.connect();
    else if (!this.socket.connecting) this.socket.write(line);
  }

  /** Has the name of an output shown on it. Rejects when the holder does not answer. */
  async identify(wanted: Omit<WantedName, 'identify'>): Promise<Identified> {
    const identify = this.nextName++;
    const { socket } = this;
    if (socket === undefined || socket.connecting) throw new Error(this.problem ?? 'the holder cannot be reached yet');
    const answered = new Promise<Identified>((resolve) => this.names.set(identify, resolve));
    try {
      socket.write(`${JSON.stringify({ ...wanted, identify } satisfies WantedName)}\n`);
      const answer = await soon(answered, answerMs);
      if (answer !== undefined) return answer;
      throw new Error('the holder does not answer; one from before an upgrade does not know how');
    } finally {
      this.names.delete(identify);
    }
  }

  /** Asks nothing any more; the holder keeps its state. */
  close(): void {
    this.greeting = undefined;
    this.wanted = undefined;
    this.problem = undefined;
    clearTimeout(this.timer);
    const { socket } = this;
    this.socket = undefined;
    socket?.destroy();
  }

  private connect(): void {
    clearTimeout(this.timer);
    const socket = createConnection(this.path);
    this.socket = socket;
    const text = new Lines();
    socket.setEncoding('utf8');
    socket.on('connect', () => {
      this.problem = undefined;
      this.isAbsent = false;
      if (this.greeting !== undefined) socket.write(this.greeting());
    });
    socket.on('data', (data: string) => {
      const lines = text.take(data);
      if (text.pending > longestLine) socket.destroy();
      let last: HolderState | undefined;
      for (const said of lines.map(saidOf)) {
        if (isIdentified(said)) this.names.get(said.identified)?.(said);
        else if (!isDone(said)) last = said;
        else if (this.socket === socket) this.events.done?.(said);
      }
      if (last !== undefined && this.socket === socket) this.events.state(last);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.isAbsent = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
      this.problem = this.isAbsent
        ? 'the holder does not run: systemctl start hotseat-holder.socket'
        : `the holder cannot be reached: ${error.message}`;
    });
    socket.on('close', () => {
      if (this.socket !== socket) return;
      this.socket = undefined;
      this.problem ??= 'the holder has ended, and is started again';
      this.events.state(undefined);
      this.timer = setTimeout(() => this.connect(), againMs).unref();
    });
  }
}

const lineOf = (wanted: Wanted | WantedSeats): string => `${JSON.stringify(wanted)}\n`;
