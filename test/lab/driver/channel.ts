// The driver's end of the control channel; guest/baked/guest.mjs is the other one and describes the messages.

import { createConnection, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { waitingFor } from './waiting.js';

export interface ExecOptions {
  readonly timeoutMs?: number;
  readonly stdin?: string | Buffer;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  /** Do not throw when the exit code is not 0. */
  readonly allowFailure?: boolean;
}

export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class GuestError extends Error {
  override name = 'GuestError';
  constructor(
    readonly argv: readonly string[],
    readonly result: ExecResult,
    why: string,
  ) {
    super(`${argv.join(' ')}: ${why}\n${result.stderr || result.stdout}`.trimEnd());
  }
}

interface FromGuest {
  readonly t: 'hello' | 'out' | 'err' | 'exit' | 'answer';
  readonly id?: number;
  readonly epoch?: number;
  readonly b64?: string;
  readonly code?: number | null;
  readonly signal?: string | null;
  readonly timedOut?: boolean;
  readonly error?: string;
  readonly line?: string;
}

/** Waiters for something that the guest sends. */
interface Listener {
  readonly name: string;
  take(message: FromGuest): void;
  fail(error: Error): void;
}

const PIECE = 96 * 1024;

/** The guest ends programs that take too long. Without its word within this further time it cannot do so, ms. */
const GRACE = 30_000;

/** Where the guest's processes are that not even SIGKILL ends: they sleep in the kernel. */
const STUCK = `for p in /proc/[0-9]*; do
  grep -q '^State:.D' $p/status 2>/dev/null || continue
  echo "$(tr '\\0' ' ' <$p/cmdline) ($(cat $p/comm)) sleeps in:"
  cat $p/stack
done; true`;

/** A process in the guest that runs on. */
export class Process implements Listener {
  readonly name: string;
  stdout = '';
  stderr = '';
  readonly done: Promise<ExecResult>;
  /** Called with every piece of standard output. */
  onOutput: ((text: string) => void) | undefined;
  private settle!: { resolve(result: ExecResult): void; reject(error: Error): void };
  private readonly out: Buffer[] = [];
  private readonly err: Buffer[] = [];

  constructor(
    readonly id: number,
    readonly argv: readonly string[],
    readonly send: (message: object) => void,
  ) {
    this.name = argv.join(' ');
    this.done = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
    this.done.catch(() => undefined);
  }

  write(data: string | Buffer): void {
    const bytes = Buffer.from(data);
    for (let at = 0; at < bytes.length; at += PIECE)
      this.send({ id: this.id, op: 'in', b64: bytes.subarray(at, at + PIECE).toString('base64') });
  }

  end(): void {
    this.send({ id: this.id, op: 'eof' });
  }

  /** Resolves when it has ended; a second signal is sent when it does not follow the first within 15 s. */
  async kill(signal: NodeJS.Signals = 'SIGTERM'): Promise<ExecResult> {
    this.send({ id: this.id, op: 'kill', signal });
    const stubborn = setTimeout(() => this.send({ id: this.id, op: 'kill', signal: 'SIGKILL' }), GRACE / 2);
    try {
      return await within(this.done, GRACE, () => this.error(`still runs ${GRACE / 1000} s after ${signal}`));
    } finally {
      clearTimeout(stubborn);
    }
  }

  take(message: FromGuest): void {
    if (message.t === 'exit') {
      const code = message.code ?? (message.signal ? 128 : 127);
      if (message.timedOut) this.fail(this.error('timed out', code));
      else if (message.error) this.fail(this.error(message.error, code));
      else this.settle.resolve({ code, stdout: this.stdout, stderr: this.stderr });
      return;
    }
    const data = Buffer.from(message.b64 ?? '', 'base64');
    // Whole buffers are decoded, because a piece can end in the middle of a character.
    if (message.t === 'out') {
      this.out.push(data);
      this.stdout = Buffer.concat(this.out).toString();
      this.onOutput?.(data.toString());
    } else {
      this.err.push(data);
      this.stderr = Buffer.concat(this.err).toString();
    }
  }

  fail(error: Error): void {
    this.settle.reject(error);
  }

  private error(why: string, code = -1): GuestError {
    return new GuestError(this.argv, { code, stdout: this.stdout, stderr: this.stderr }, why);
  }
}

/** The result of `work`, or after `ms` the error that `late` makes. */
async function within<T>(work: Promise<T>, ms: number, late: () => Error | Promise<Error>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const end = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), ms);
  });
  const first = await Promise.race([work.then((value) => ({ value })), end]).finally(() => clearTimeout(timer));
  if (first === 'late') throw await late();
  return first.value;
}

export class Channel {
  private readonly socket: Socket;
  private readonly running = new Map<number, Listener>();
  private next = 1;
  private epoch = 0;
  private greeted: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => undefined);
    socket.on('close', () => this.drop('QEMU is gone'));
    // The socket's own error comes through the interface as well; 'close' tells the waiters.
    createInterface({ input: socket })
      .on('error', () => undefined)
      .on('line', (line) => this.take(line));
  }

  static async connect(path: string): Promise<Channel> {
    const socket = createConnection(path);
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new Channel(socket);
  }

  /** After connecting and after every loadvm: sets the guest's clock, kills what ran, starts with clean lines. */
  async hello(timeoutMs: number): Promise<void> {
    this.drop('the machine was set back');
    const until = Date.now() + timeoutMs;
    while (Date.now() < until) {
      this.epoch = Math.floor(Math.random() * 2 ** 48);
      const answered = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), 5000);
        this.greeted = () => {
          clearTimeout(timer);
          resolve(true);
        };
        this.socket.write(`\n${JSON.stringify({ op: 'hello', epoch: this.epoch, time: Date.now() })}\n`);
      });
      if (answered) return;
    }
    throw new Error(`the guest did not answer within ${timeoutMs / 1000} s`);
  }

  start(argv: readonly string[], options: Pick<ExecOptions, 'timeoutMs' | 'env' | 'cwd'> = {}): Process {
    const id = this.next++;
    const process = new Process(id, argv, (message) => this.send(message));
    this.running.set(id, process);
    this.send({ id, op: 'exec', argv, env: options.env, cwd: options.cwd, timeoutMs: options.timeoutMs });
    return process;
  }

  async exec(argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { timeoutMs = 60_000 } = options;
    const process = this.start(argv, { ...options, timeoutMs });
    if (options.stdin !== undefined) process.write(options.stdin);
    process.end();
    const ended = within(process.done, timeoutMs + GRACE, async () => {
      const why = `no answer ${GRACE / 1000} s after its time of ${timeoutMs / 1000} s. ${await this.stuck()}`;
      return new GuestError(argv, { code: -1, stdout: process.stdout, stderr: process.stderr }, why);
    });
    const result = await waitingFor(`the end of ${process.name.slice(0, 300)}`, ended);
    if (result.code !== 0 && !options.allowFailure) throw new GuestError(argv, result, `exit code ${result.code}`);
    return result;
  }

  /**
   * Sends a line to a unix socket in the guest and gives the line that it answers. All lines to a socket go over one
   * connection, which the guest keeps. Throws when there is no such socket, and when it is closed before the answer.
   */
  ask(path: string, line: string, timeoutMs: number): Promise<string> {
    const id = this.next++;
    const name = `the answer of ${path} to ${line.slice(0, 300)}`;
    const answer = new Promise<string>((resolve, reject) => {
      this.running.set(id, {
        name,
        take: (message) => {
          this.running.delete(id);
          if (message.line !== undefined) resolve(message.line);
          else reject(new Error(`${path}: ${message.error ?? 'no answer'}`));
        },
        fail: reject,
      });
    });
    this.send({ id, op: 'ask', path, line });
    const late = () => {
      this.running.delete(id);
      return new Error(`${name}: none within ${timeoutMs / 1000} s`);
    };
    return waitingFor(name, within(answer, timeoutMs, late));
  }

  async putFile(path: string, content: string | Buffer, mode = 0o644): Promise<void> {
    const script =
      'mkdir -p "$(dirname "$1")" && cat > "$1.lab-tmp" && chmod "$2" "$1.lab-tmp" && mv -f "$1.lab-tmp" "$1"';
    await this.exec(['sh', '-c', script, 'sh', path, mode.toString(8)], { stdin: content });
  }

  close(): void {
    this.socket.destroy();
  }

  private send(message: object): void {
    this.socket.write(`${JSON.stringify(message)}\n`);
  }

  private async stuck(): Promise<string> {
    const process = this.start(['sh', '-c', STUCK], { timeoutMs: GRACE });
    const { stdout } = await within(process.done, GRACE, () => new Error('')).catch(() => ({ stdout: undefined }));
    return stdout === undefined ? 'The guest does not answer at all' : `Stuck in its kernel:\n${stdout}`;
  }

  private take(line: string): void {
    let message: FromGuest;
    try {
      message = JSON.parse(line) as FromGuest;
    } catch {
      return; // half a line from before a snapshot
    }
    if (message.t === 'hello') {
      if (message.epoch === this.epoch) this.greeted?.();
      return;
    }
    const listener = message.id === undefined ? undefined : this.running.get(message.id);
    if (listener === undefined || message.id === undefined) return;
    if (message.t === 'exit') this.running.delete(message.id);
    listener.take(message);
  }

  private drop(why: string): void {
    for (const listener of this.running.values()) listener.fail(new Error(`${listener.name}: ${why}`));
    this.running.clear();
  }
}
