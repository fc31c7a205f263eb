import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import * as assert from 'uvu/assert';
import { until } from './until.js';

/**
 * A client that sends given messages, in hex, and prints the answers: an answer a line, with the number of the device
 * that it was handed. It goes into its group before it connects, as a program in a container is.
 */
const program = `
import os, socket, struct, sys, threading, array
open(sys.argv[2] + '/cgroup.procs', 'w').write(str(os.getpid()))
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
print('connected', flush=True)
def listen():
    buffer, fds = b'', []
    while True:
        try:
            data, got, _, _ = socket.recv_fds(s, 256, 4)
        except OSError:
            data, got = b'', []
        fds += got
        if not data:
            print('closed', flush=True)
            return
        buffer += data
        while len(buffer) >= 4:
            op, size = struct.unpack_from('HH', buffer)
            if len(buffer) < 4 + size: break
            body, buffer = buffer[4:4 + size], buffer[4 + size:]
            text = '%x %s' % (op, body.hex())
            if op == 0x8003:
                fd = fds.pop(0)
                stat = os.fstat(fd)
                text += ' %d:%d' % (os.major(stat.st_rdev), os.minor(stat.st_rdev))
            print(text.strip(), flush=True)
if len(sys.argv) < 4: threading.Thread(target=listen, daemon=True).start()
for line in sys.stdin:
    s.sendall(bytes.fromhex(line))
`;

export interface SeatdAsker {
  readonly heard: string[];
  readonly child: ChildProcess;
  say(hex: string): void;
  /** The answer to come next. */
  next(): Promise<string>;
}

export const children: ChildProcess[] = [];
export async function connectTo(socket: string, group: string, ...options: string[]): Promise<SeatdAsker> {
  const child = spawn('python3', ['-c', program, socket, group, ...options], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const heard: string[] = [];
  let read = 0;
  // It ends when it is closed while it speaks.
  child.stdin.on('error', () => undefined);
  const lines = createInterface({ input: child.stdout }).on('line', (line) => heard.push(line));
  const next = async (): Promise<string> => {
    const signal = AbortSignal.timeout(10_000);
    while (heard.length <= read) await once(lines, 'line', { signal });
    return heard[read++] ?? '';
  };
  const client = { heard, child, next, say: (hex: string) => void child.stdin.write(`${hex}\n`) };
  assert.is(await next(), 'connected');
  return client;
}

export async function leave({ child }: SeatdAsker): Promise<void> {
  child.kill('SIGKILL');
  await until('it has ended', () => child.exitCode !== null || child.signalCode !== null);
}

export const openSeat = '01000000';
export const ping = '07000000';
export const opened = (path: string): string => {
  const text = Buffer.from(`${path}\0`);
  const head = Buffer.alloc(6);
  head.writeUInt16LE(3, 0);
  head.writeUInt16LE(text.length + 2, 2);
  head.writeUInt16LE(text.length, 4);
  return Buffer.concat([head, text]).toString('hex');
};
export const seatOpened = '8001 0600736561743000';
export const error = (errno: number): string => `ffff ${errno.toString(16).padStart(2, '0')}000000`;
