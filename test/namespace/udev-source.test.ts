import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { filter, firstValueFrom, take, timeout, toArray } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { encode } from '../../agent/udev/datagram.js';
import { isUdevdThere } from '../../agent/udev/presence.js';
import { UdevSource } from '../../agent/udev/source.js';
import { unshared } from './unshared.js';

// Real libudev messages, heard by the real node-udev, in a network and mount namespace of this file's own: nothing of
// the machine's udevd gets in, nothing gets out.
unshared(import.meta.url, '--net');

/** Multicasts the messages of a file to libudev's group: once, again and again until one is dropped, or slowly. */
const sender = `
import os, socket, struct, sys, time
mode, path = sys.argv[1:3]
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
data, messages, at = open(path, 'rb').read(), [], 0
while at < len(data):
    n, = struct.unpack_from('<I', data, at); messages.append(data[at+4:at+4+n]); at += 4 + n
def send(m):
    try: s.sendto(m, (0, 2))
    except ConnectionRefusedError: pass
def dropped():
    return any(int(l.split()[8]) for l in open('/proc/self/net/netlink').read().splitlines()[1:] if l.split()[1] == '15')
if mode == 'once':
    for m in messages: send(m)
elif mode == 'overrun':
    parent, end = os.getppid(), time.monotonic() + 50
    while not dropped():
        if os.getppid() != parent or time.monotonic() > end: sys.exit('the listener is as quick as the sender')
        for m in messages: send(m)
elif mode == 'slow':
    for m in messages: send(m); time.sleep(0.002)
print(time.monotonic_ns())
`;

const scratch = mkdtempSync(join(tmpdir(), 'hotseat-udev-source-'));
const log = pino({ level: 'silent' });
let serial = 0;

/** Long messages: libudev's socket holds 128 MiB (udev_monitor_enable_receiving), which short ones take half a minute to fill. */
const long = 7000;

/** A file of messages as udevd sends them for `count` keyboards. */
function messages(count: number, padding = 200): string {
  const parts = Array.from({ length: count }, (_, index) => {
    serial += 1;
    const properties = {
      DEVPATH: `/devices/pci0000:00/usb1/1-2/input/input${index}/event${index}`,
      SUBSYSTEM: 'input',
      DEVNAME: `/dev/input/event${index}`,
      MAJOR: '13',
      MINOR: String(64 + index),
      SEQNUM: String(serial),
      USEC_INITIALIZED: '1',
      ID_INPUT: '1',
      ID_INPUT_KEY: '1',
      ID_INPUT_KEYBOARD: '1',
      ID_SERIAL: 'Keyboard',
      ID_VENDOR: 'x'.repeat(padding),
    };
    const datagram = encode('add', properties, ['seat']);
    const size = Buffer.alloc(4);
    size.writeUInt32LE(datagram.length);
    return Buffer.concat([size, datagram]);
  });
  const file = join(scratch, `${serial}`);
  writeFileSync(file, Buffer.concat(parts));
  return file;
}

/** Settles with the time of the last message sent, CLOCK_MONOTONIC in ns. */
function send(mode: 'once' | 'overrun' | 'slow', file: string): Promise<bigint> {
  return new Promise((resolve, reject) => {
    const python = spawn('python3', ['-c', sender, mode, file], { stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    python.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    python.on('close', (status) =>
      status === 0 ? resolve(BigInt(out.trim())) : reject(new Error(`sender: ${status}`)),
    );
  });
}

const events = (source: UdevSource) => source.messages.pipe(filter((message) => message.kind === 'event'));
const nextResync = (source: UdevSource) =>
  firstValueFrom(
    source.messages.pipe(
      filter((message) => message.kind === 'resync'),
      timeout(60_000),
    ),
  );
const milliseconds = (from: bigint, to: bigint): number => Number(to - from) / 1e6;
const now = (): bigint => process.hrtime.bigint();

async function withSource(body: (source: UdevSource) => Promise<void>): Promise<void> {
  const source = new UdevSource({ log });
  try {
    const first = nextResync(source);
    await source.start();
    assert.equal(await first, { kind: 'resync', reason: 'start' });
    await body(source);
  } finally {
    source.stop();
  }
}

test.before(() => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  mkdirSync('/run/udev/data', { recursive: true });
  writeFileSync('/run/udev/control', '');
});
test.after(() => rmSync(scratch, { recursive: true }));

test('a thousand messages in one burst all arrive, in order', () =>
  withSource(async (source) => {
    const all = firstValueFrom(events(source).pipe(take(1000), toArray(), timeout(20_000)));
    const sent = send('once', messages(1000));
    const heard = await all;
    const end = now();
    heard.forEach(({ event }, index) => {
      assert.is(event.syspath, `/sys/devices/pci0000:00/usb1/1-2/input/input${index}/event${index}`);
      assert.is(event.properties['MINOR'], String(64 + index));
      assert.is(event.properties['CURRENT_TAGS'], ':seat:');
      assert.is(event.action, 'add');
    });
    console.log(`1000 messages: all here ${milliseconds(await sent, end).toFixed(1)} ms after the last was sent`);
  }));

test('hardly a wake-up while nothing happens', () =>
  withSource(async (source) => {
    await sleep(1500);
    const switches = (): number =>
      Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(`/proc/${source.pid}/status`, 'utf8'))?.[1]);
    const before = switches();
    await sleep(3000);
    assert.ok(switches() - before <= 2, `${switches() - before} wake-ups in 3 s`);
  }));

/** The message that a listener hears again after a loss. */
async function hearsAgain(source: UdevSource): Promise<void> {
  const one = firstValueFrom(
    events(source).pipe(
      filter(({ event }) => Number(event.properties['SEQNUM']) === serial),
      timeout(10_000),
    ),
  );
  const file = messages(1);
  await send('once', file);
  await one;
}

for (const queue of [true, false]) {
  test(`an overrun heals within a second (${queue ? 'udevd has work' : 'nothing else stirs'})`, () =>
    withSource(async (source) => {
      const resync = nextResync(source);
      const file = messages(200, long);
      // As udevd does while it has work.
      if (queue) writeFileSync('/run/udev/queue', '');
      const dropped = await send('overrun', file);
      assert.equal(await resync, { kind: 'resync', reason: 'overrun' });
      const took = milliseconds(dropped, now());
      rmSync('/run/udev/queue', { force: true });
      console.log(`overrun → listening again: ${took.toFixed(0)} ms (promised: 1000)`);
      assert.ok(took < 10_000);
      assert.is(source.stats.overruns, 1);
      await hearsAgain(source);
    }));
}

test('a process that was stopped and overran meanwhile is replaced', () =>
  withSource(async (source) => {
    const stopped = source.pid ?? 0;
    process.kill(stopped, 'SIGSTOP');
    await send('overrun', messages(200, long));
    const resync = nextResync(source);
    const woken = now();
    process.kill(stopped, 'SIGCONT');
    assert.equal(await resync, { kind: 'resync', reason: 'overrun' });
    console.log(`woken after an overrun → listening again: ${milliseconds(woken, now()).toFixed(0)} ms`);
    assert.ok(milliseconds(woken, now()) < 10_000);
    assert.is.not(source.pid, stopped);
    await hearsAgain(source);
  }));

// As a machine too busy to run the process: a stop that it does not notice (cgroup.freeze would do the same).
test('a process that had no processor for a while and overran is replaced when udevd is done', () =>
  withSource(async (source) => {
    const stopped = source.pid ?? 0;
    const file = messages(200, long);
    const freezer = freeze(stopped);
    writeFileSync('/run/udev/queue', '');
    await send('overrun', file);
    rmSync('/run/udev/queue');
    const resync = nextResync(source);
    const woken = now();
    freezer.thaw();
    assert.equal(await resync, { kind: 'resync', reason: 'overrun' });
    console.log(`thawed after an overrun → listening again: ${milliseconds(woken, now()).toFixed(0)} ms`);
    assert.ok(milliseconds(woken, now()) < 10_000);
    freezer.remove();
    await hearsAgain(source);
  }));

/** A control group of its own for a process, frozen. */
function freeze(pid: number): { thaw(): void; remove(): void } {
  const before = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1];
  assert.ok(before !== undefined, 'a cgroup v2 hierarchy');
  const group = join(cgroupRoot(), `hotseat-udev-test-${process.pid}`);
  mkdirSync(group);
  writeFileSync(join(group, 'cgroup.procs'), String(pid));
  writeFileSync(join(group, 'cgroup.freeze'), '1');
  return {
    thaw: () => writeFileSync(join(group, 'cgroup.freeze'), '0'),
    remove: () => rmdirSync(group),
  };
}

test('kill -9: a resync within a second, and nothing sent after it is missed', () =>
  withSource(async (source) => {
    const heard = new Set<number>();
    events(source).subscribe(({ event }) => heard.add(Number(event.properties['SEQNUM'])));
    const first = serial + 1;
    const file = messages(1000);
    const last = serial;
    const sent = send('slow', file);
    await firstValueFrom(events(source).pipe(take(50), toArray(), timeout(10_000)));
    const resync = nextResync(source);
    const killed = now();
    process.kill(source.pid ?? 0, 'SIGKILL');
    assert.equal(await resync, { kind: 'resync', reason: 'child-died' });
    const took = milliseconds(killed, now());
    console.log(`kill -9 → listening again: ${took.toFixed(0)} ms (promised: 1000)`);
    assert.ok(took < 10_000);
    assert.is(source.stats.restarts, 1);
    await sent;
    await hearsAgain(source);
    // One hole, where nobody listened, and it was over before the sender was.
    const missing = Array.from({ length: last - first + 1 }, (_, index) => first + index).filter(
      (number) => !heard.has(number),
    );
    const end = missing.at(-1);
    assert.ok(end !== undefined && end < last, 'the sender outlived the hole');
    assert.is(missing.length, end - (missing[0] ?? 0) + 1, 'one hole, and no more');
  }));

test('dying again and again it comes back each time, more slowly', () =>
  withSource(async (source) => {
    const waits: number[] = [];
    for (let time = 0; time < 4; time += 1) {
      const resync = nextResync(source);
      const killed = now();
      process.kill(source.pid ?? 0, 'SIGKILL');
      assert.is((await resync).kind, 'resync');
      waits.push(milliseconds(killed, now()));
    }
    console.log(`kill -9 four times: ${waits.map((wait) => wait.toFixed(0)).join(', ')} ms`);
    assert.is(source.stats.restarts, 4);
    assert.ok((waits[3] ?? 0) >= 400);
  }));

test('a process that hangs is replaced; one that answers is left alone, and is heard of while nothing happens', async () => {
  const source = new UdevSource({ log, askEvery: 1000 });
  try {
    await source.start();
    const first = source.pid ?? 0;
    await sleep(3500);
    assert.is(source.pid, first);
    assert.ok(source.silentMs < 2500, `silent for ${source.silentMs} ms`);
    const resync = nextResync(source);
    process.kill(first, 'SIGSTOP');
    assert.equal(await resync, { kind: 'resync', reason: 'child-died' });
    assert.is.not(source.pid, first);
    assert.not.ok(alive(first));
    await hearsAgain(source);
  } finally {
    source.stop();
  }
});

test('it ends with its parent', async () => {
  const child = fileURLToPath(new URL('../../agent/udev/udev-child.js', import.meta.url));
  const script = `const c = require('child_process').fork(${JSON.stringify(child)}, [], { execArgv: [] }); c.on('message', () => { console.log(c.pid); process.kill(process.pid, 'SIGKILL'); });`;
  const { stdout } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
  const pid = Number(stdout.trim());
  assert.ok(pid > 0);
  for (let look = 0; look < 100 && alive(pid); look += 1) await sleep(20);
  assert.not.ok(alive(pid));
});

function alive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

test('where libudev would listen to nobody it says so and comes to when udevd does', async () => {
  rmSync('/run/udev/control');
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/dev']);
  const source = new UdevSource({ log });
  try {
    execFileSync('mknod', ['-m', '666', '/dev/null', 'c', '1', '3']);
    execFileSync('mknod', ['-m', '666', '/dev/urandom', 'c', '1', '9']);
    const started = source.start().then(() => 'listening');
    for (let look = 0; look < 1000 && source.stats.restarts === 0; look += 1) await sleep(10);
    assert.ok(source.stats.restarts > 0);
    assert.is(await Promise.race([started, sleep(0, 'deaf')]), 'deaf');
    const resync = nextResync(source);
    writeFileSync('/run/udev/control', '');
    await started;
    assert.equal(await resync, { kind: 'resync', reason: 'start' });
    await hearsAgain(source);
  } finally {
    source.stop();
    execFileSync('umount', ['-l', '/dev']);
    writeFileSync('/run/udev/control', '');
  }
});

test('however many sockets others have, nobody reads the table of them because something was plugged', async () => {
  const crowd = `
import resource, socket, sys
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
sockets = [socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) for _ in range(min(10000, most - 50))]
for one in sockets: one.bind((0, 0))
print('up', flush=True)
sys.stdin.read()`;
  const child = spawn('python3', ['-c', crowd], { stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  assert.ok(readFileSync('/proc/self/net/netlink').length > 500_000);
  const source = new UdevSource({ log });
  try {
    await source.start();
    const read = (): number => Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${source.pid}/io`, 'utf8'))?.[1]);
    const before = read();
    const heard = firstValueFrom(
      source.messages.pipe(
        filter(({ kind }) => kind === 'event'),
        timeout(10_000),
      ),
    );
    spawnSync('python3', ['-c', sender, 'once', messages(1)]);
    await heard;
    // It looks whether anything was lost a moment later.
    await sleep(500);
    assert.ok(read() - before < 100_000, `${read() - before} bytes`);
    const began = performance.now();
    assert.is(isUdevdThere(), true);
    assert.ok(performance.now() - began < 500);
  } finally {
    source.stop();
    child.kill('SIGKILL');
  }
});

test.run();
