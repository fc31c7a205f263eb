// Devices that come as descriptors: the agent's side and a holder that runs as it does on a PC, by its own socket.
// /dev/null stands in for an event node, which has no revocation: that what could not be taken back is looked for is
// seen by it.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { unrecorded } from '../../agent/core/audit.js';
import type { DesiredSeat } from '../../agent/core/state.js';
import type { JournalEntry, NodeRef } from '../../agent/core/step.js';
import { DescriptorKeeper } from '../../agent/descriptors/descriptor-keeper.js';
import { type Done, holderSocket, type WantedSeats } from '../../agent/holder/messages.js';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { DeviceMap } from '../../agent/kernel/device-map.js';
import { Namespaces } from '../../agent/kernel/namespaces.js';
import type { Receiver } from '../../agent/seat/controller.js';
import type { Descriptors } from '../../agent/seat/descriptors.js';
import { SeatDirectory } from '../../agent/seat/directory.js';
import { Grants } from '../../agent/seat/grants.js';
import { Journal } from '../../agent/seat/journal.js';
import { journalRoot } from '../../agent/seat/layout.js';
import { Outlet } from '../../agent/seat/outlet.js';
import { SeatWorker } from '../../agent/seat/worker.js';
import { checkout } from '../unit/hotseat.js';
import { hands } from './hands.js';
import { removeGroups } from './remove-groups.js';
import { unshared } from './unshared.js';
import { until } from './until.js';
import { wishesOf } from './wishes-of.js';

unshared(import.meta.url);

const group = join(cgroupRoot(), `hotseat-descriptors-${process.pid}`);
const marker = '/run/marker';
const log = pino({ level: 'silent' });
const children: ChildProcess[] = [];
let directory: SeatDirectory;
let outlet: Outlet;

const syspath = realpathSync('/sys/dev/char/1:3');
const served: NodeRef = { class: 'input', name: 'event0', number: { major: 1, minor: 3 } };
/** `/dev/null`, by the name under which a display server asks for it. */
const entry: JournalEntry = {
  ...{ id: 'c1:3', syspath, incarnation: String(statSync(syspath).ino), unit: syspath, node: undefined, served },
  ...{ tags: [], properties: { DEVNAME: '/dev/input/event0' }, rule: 'left.yaml:3', hard: false, knownTo: undefined },
};

test.before(() => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  mkdirSync('/dev/input', { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/dev/input']);
  execFileSync('mknod', ['/dev/input/event0', 'c', '1', '3']);
  mkdirSync(group);
  directory = new SeatDirectory('left');
  outlet = new Outlet(
    directory,
    () => ({ user: () => 0, group: (name) => (name === 'input' ? 104 : undefined) }),
    'seatd',
  );
});

let holder: ChildProcess | undefined;
async function startHolder(): Promise<void> {
  holder = spawn(process.execPath, [join(checkout, 'dist/agent/holder/holder.js')], { stdio: 'inherit' });
  children.push(holder);
  await until('the holder to listen', () => existsSync(holderSocket));
}
async function killHolder(): Promise<void> {
  const ended = holder;
  ended?.kill('SIGKILL');
  await until('its end', () => ended === undefined || ended.signalCode !== null);
}

const keepers: DescriptorKeeper[] = [];
function keeper(path?: string): DescriptorKeeper {
  const receiver = (): Receiver => ({
    seat: 'left',
    outlet,
    rule: { access: {} },
    cgroup: group,
    container: undefined,
  });
  const made = new DescriptorKeeper({
    ...{ log, marker, namespaces: new Namespaces(), ...(path === undefined ? {} : { holder: path }) },
    controller: () => ({ receivers: () => [receiver()], seatdOutlets: () => new Map([['left', outlet]]) }),
  });
  keepers.push(made);
  return made;
}

/** A client in the container that is at the seat and has the device open. */
const program = `
import os, socket, struct, sys
open(sys.argv[2] + '/cgroup.procs', 'w').write(str(os.getpid()))
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(struct.pack('HH', 1, 0) + bytes.fromhex('03001400') + struct.pack('H', 18) + b'/dev/input/event0\\0')
got = b''
fds = []
while len(got) < 24:
    data, more, _, _ = socket.recv_fds(s, 24 - len(got), 1)
    got, fds = got + data, fds + more
print('open', flush=True)
print('left' if s.recv(1) == b'' else 'said', flush=True)
sys.stdin.read()
`;
async function open(): Promise<{ said: string; end(): void }> {
  const child = spawn('python3', ['-c', program, join(directory.path, 'dev/input/seatd.sock'), group]);
  children.push(child);
  const heard = { said: '', end: () => void child.kill('SIGKILL') };
  child.stdout.on('data', (data) => {
    heard.said += String(data);
  });
  await until('it to have it open', () => heard.said.includes('open'));
  return heard;
}

test('where no holder runs nothing is served, and nothing is left to take back', async () => {
  const one = keeper();
  await one.serve('left', entry, served).then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /^the holder does not run: systemctl start/),
  );
  assert.equal(await one.withdraw('left', ['c1:3']), { holder: undefined, left: {} });
  assert.match(one.statusOf('left')?.problem ?? '', /the holder does not run/);
  one.close();
});

test('a seat sees its socket, for whom the rule says, and its display server opens what is served', async () => {
  await startHolder();
  const one = keeper();
  one.begin();
  await until('the socket', () => outlet.shown !== undefined);
  const path = join(directory.path, 'dev/input/seatd.sock');
  await until('its owner', () => lstatSync(path).gid === 104);
  assert.is(lstatSync(path).mode & 0o777, 0o660);
  directory.read();
  assert.equal(readdirSync(join(directory.path, 'dev/input')), ['seatd.sock'], 'it is no stray');
  const name = await one.serve('left', entry, served);
  const client = await open();
  await until('that to be said', () => one.statusOf('left')?.opened[0] === '/dev/input/event0');
  assert.is(one.statusOf('left')?.isOpen, true);
  one.close();
  // Another agent starts, and knows the devices of the seat.
  const other = keeper();
  other.resume('left', [entry]);
  other.begin();
  await until('it to be told', () => other.statusOf('left')?.opened.length === 1);
  const { holder: by, left } = await other.withdraw('left', ['c1:3']);
  assert.is(by, name);
  assert.match(left['c1:3'] ?? '', /EVIOCREVOKE.*ENOTTY/);
  await until('nothing to be open', () => other.statusOf('left')?.opened.length === 0);
  assert.equal(await other.withdraw('left', ['c1:3']), { holder: name, left: {} });
  client.end();
  await until('it to have gone', () => other.statusOf('left')?.isOpen === false);
  other.close();
});

test('a holder that was started again serves what it is told, and is another one', async () => {
  const one = keeper();
  one.begin();
  const first = await one.serve('left', entry, served);
  const inode = outlet.shown;
  const client = await open();
  await killHolder();
  await until('the display server to be left', () => client.said.includes('left'));
  await startHolder();
  await until('another socket', () => outlet.shown !== inode);
  await open();
  const { holder: second } = await one.withdraw('left', ['c1:3']);
  assert.ok(second !== undefined && second !== first);
  await one.end();
  assert.not.ok(existsSync(marker));
});

test('an answer is that of its own request, in whatever order answers come', async () => {
  const path = '/run/slow-holder.sock';
  const requests: WantedSeats[] = [];
  let agent: Socket | undefined;
  const slow = createServer((socket) => {
    agent = socket;
    const lines = createInterface({ input: socket });
    lines.on('line', (line) => requests.push(JSON.parse(line) as WantedSeats));
  });
  await new Promise<void>((resolve) => slow.listen(path, resolve));
  const answer = (done: Partial<Done>) =>
    agent?.write(`${JSON.stringify({ isAll: false, holder: 'h', left: {}, ...done })}\n`);
  const one = keeper(path);
  const greeted = one.withdraw('left', []);
  await until('it to be greeted', () => requests.length === 1);
  answer({ done: 1, isAll: true });
  await greeted;
  const first = one.withdraw('left', ['c1:3']);
  const second = one.withdraw('left', []);
  await until('both', () => requests.length === 3);
  answer({ done: 3 });
  await second;
  answer({ done: 2, left: { 'c1:3': 'not yet' } });
  assert.equal((await first).left, { 'c1:3': 'not yet' });
  one.close();
  agent?.destroy();
  slow.close();
});

test('what the holder is not sure of is searched for, and nothing else', async () => {
  const root = DeviceMap.open({ cgroupRoot: group });
  let now: Awaited<ReturnType<Descriptors['withdraw']>> = { holder: 'h1', left: {} };
  let isHeldUp = false;
  const asked: string[] = [];
  const revoked: string[] = [];
  const worker = new SeatWorker('right', {
    ...{ log, namespaces: new Namespaces(), tell: () => undefined, released: () => undefined },
    directory: new SeatDirectory('right'),
    journal: new Journal(journalRoot('right'), (file) => assert.unreachable(file)),
    grants: new Grants(root),
    descriptors: {
      resume: () => undefined,
      serve: async (_seat, { id }) => {
        asked.push(`serve ${id}`);
        return 'h1';
      },
      withdraw: async (_seat, ids) => {
        asked.push(`withdraw ${ids.join(' ')}`);
        return now;
      },
    },
    present: () => true,
    mayHave: () => true,
    keepers: () => [],
    audit: unrecorded,
    measure: () => undefined,
    receivedNs: () => undefined,
    effects: {
      ...hands().effects,
      revoke: async (nodes) => {
        revoked.push(...nodes.map(({ name }) => name));
        return { revoked: 0, left: [], suspected: [], handed: [], isHeldUp };
      },
    },
  });
  const wanted: DesiredSeat = {
    devices: [{ record: { id: entry.id, text: 'V:1\n', tags: [] }, links: [], entry }],
    unknown: [],
  };
  const move = async (result: typeof now): Promise<void> => {
    now = result;
    worker.wantAll(wishesOf(wanted), []);
    await worker.trigger();
    worker.wantAll(new Map(), []);
    await worker.trigger();
    assert.is(worker.report().entries.length, 0, worker.report().problem);
  };
  await move({ holder: 'h1', left: {} });
  assert.equal(asked.splice(0), ['serve c1:3', 'withdraw c1:3']);
  assert.equal(revoked.splice(0), [], 'the holder has done it');
  await move({ holder: 'h2', left: {} });
  assert.equal(revoked.splice(0), ['event0'], 'another holder may have opened it');
  await move({ holder: 'h1', left: { 'c1:3': 'ENOTTY' } });
  assert.equal(revoked.splice(0), ['event0'], 'it could not be taken back');
  await move({ holder: undefined, left: {} });
  assert.equal(revoked.splice(0), ['event0'], 'there is no holder any more');
  isHeldUp = true;
  await move({ holder: 'h1', left: { 'c1:3': 'not yet' } }).catch(() => undefined);
  assert.match(worker.report().problem ?? '', /cannot leave yet/);
  isHeldUp = false;
  now = { holder: 'h1', left: {} };
  revoked.splice(0);
  await worker.recheck();
  const { entries } = worker.report();
  assert.equal([revoked, entries], [['event0'], []], 'whatever the holder says later: it was not sure once');
  await worker.close();
  root.close();
});

test.after(async () => {
  for (const one of keepers) one.close();
  for (const child of children) child.kill('SIGKILL');
  await removeGroups([group]);
});

test.run();
