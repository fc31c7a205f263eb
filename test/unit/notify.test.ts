import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { notify } from '../../agent/host/notify.js';
import { keepWatch } from '../../agent/host/watchdog.js';
import { sendUnixDatagram } from '../../agent/kernel/unix-datagram.js';

const scratch = mkdtempSync(join(tmpdir(), 'hotseat-notify-'));
const before = { ...process.env };

/**
 * Acts as systemd's end: a datagram socket that asks who sent what. A line for each message: its sender and its text.
 */
const listen = `
import socket, struct, sys, time
name, wait = sys.argv[1], float(sys.argv[2])
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
s.bind(name.replace('@', chr(0), 1) if name.startswith('@') else name)
print('listening', flush=True)
time.sleep(wait)
while True:
    text, control, _, _ = s.recvmsg(4096, 100)
    print(struct.unpack('iii', control[0][2])[0], repr(text.decode()), flush=True)
`;

interface Listener {
  readonly process: ChildProcess;
  /** The next line that it says. */
  next(): Promise<string>;
}

async function listener(name: string, waitSeconds = 0): Promise<Listener> {
  const process = spawn('python3', ['-c', listen, name, String(waitSeconds)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => String((await lines.next()).value);
  assert.is(await next(), 'listening');
  return { process, next };
}

test.after.each(() => {
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
});
test.after(() => rmSync(scratch, { recursive: true }));

for (const [kind, name] of [
  ['path', join(scratch, 'notify')],
  ['abstract name', `@hotseat-notify-${process.pid}`],
] as const) {
  test(`what is said arrives at a socket with a ${kind}, as one of this very process's`, async () => {
    const { process: python, next } = await listener(name);
    try {
      process.env['NOTIFY_SOCKET'] = name;
      await notify('READY=1', 'STATUS=policy 1a2b: left, right');
      assert.is(await next(), `${process.pid} 'READY=1\\nSTATUS=policy 1a2b: left, right'`);
      await notify('STOPPING=1');
      assert.is(await next(), `${process.pid} 'STOPPING=1'`);
    } finally {
      python.kill();
    }
  });
}

test('a status cannot smuggle in a line of its own', async () => {
  const name = join(scratch, 'smuggled');
  const { process: python, next } = await listener(name);
  try {
    process.env['NOTIFY_SOCKET'] = name;
    await notify('STATUS=left\nMAINPID=1');
    assert.is(await next(), `${process.pid} 'STATUS=left MAINPID=1'`);
  } finally {
    python.kill();
  }
});

test('without systemd nothing is said; a socket that nobody listens to, or that is none, is an error that names it', async () => {
  delete process.env['NOTIFY_SOCKET'];
  await notify('READY=1');
  for (const [name, why] of [
    [join(scratch, 'nobody'), /sendto .*nobody: ENOENT/],
    ['relative', /"relative" is no unix socket: a path or @name of at most 107 bytes/],
    [`/${'x'.repeat(107)}`, /is no unix socket/],
  ] as const) {
    process.env['NOTIFY_SOCKET'] = name;
    const error = await notify('READY=1').then(
      () => 'none',
      ({ message }: Error) => message,
    );
    assert.match(error, why);
  }
});

test('a manager that is busy gets it later, and nobody waits meanwhile', async () => {
  const name = join(scratch, 'busy');
  const { process: python, next } = await listener(name, 2);
  try {
    process.env['NOTIFY_SOCKET'] = name;
    let filled = 0;
    // Its queue is full after some (net.unix.max_dgram_qlen).
    assert.throws(
      () => {
        for (; filled < 100_000; filled++) sendUnixDatagram(name, 'WATCHDOG=1');
      },
      (error: Error & { code?: string }) => error.code === 'EAGAIN',
    );
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 10);
    await notify('READY=1');
    clearInterval(timer);
    assert.ok(turns > 5, `the event loop turned ${turns} times`);
    for (let count = 0; count < filled; count++) await next();
    assert.is(await next(), `${process.pid} 'READY=1'`);
  } finally {
    python.kill();
  }
});

test('the watchdog is fed while the agent is alive, and starves when it is not', async () => {
  const name = join(scratch, 'watchdog');
  const { process: python, next } = await listener(name);
  const errors: unknown[] = [];
  const log = { error: (facts: unknown) => errors.push(facts), warn: (facts: unknown) => errors.push(facts) };
  let udevSilentMs = 0;
  process.env['NOTIFY_SOCKET'] = name;
  process.env['WATCHDOG_USEC'] = '300000';
  process.env['WATCHDOG_PID'] = String(process.pid);
  const stop = keepWatch(log as never, () => ({ udevSilentMs, busy: [] }));
  try {
    // The timer alone keeps no process running; here something else has to.
    const held = setInterval(() => undefined, 1000);
    for (let count = 0; count < 2; count++) assert.is(await next(), `${process.pid} 'WATCHDOG=1'`);
    assert.equal(errors, []);
    udevSilentMs = 1e6;
    while (errors.length < 3) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(errors[0], { ill: 'nothing was heard of udev for 1000 s' });
    await notify('STATUS=the next word');
    // A message that was under way when it fell ill may come first.
    const words = [await next()];
    if (words[0] === `${process.pid} 'WATCHDOG=1'`) words.push(await next());
    assert.is(words.at(-1), `${process.pid} 'STATUS=the next word'`);
    clearInterval(held);
  } finally {
    stop();
    python.kill();
  }
});

test.run();
