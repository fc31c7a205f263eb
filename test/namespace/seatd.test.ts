// The holder's seats, asked over their sockets as libseat asks, by processes in cgroups of their own. The devices are plain
// character devices: nothing here has an input, so that what revoking does is shown in the lab.

import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isNewer } from '../../agent/descriptors/libseat.js';
import type { CardLessor } from '../../agent/holder/holdings.js';
import type { Done, ServedDevice, ServedSeat } from '../../agent/holder/messages.js';
import { OpenedDevice } from '../../agent/holder/opened-device.js';
import { Seats } from '../../agent/holder/seats.js';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import {
  children,
  connectTo,
  error,
  leave,
  opened,
  openSeat,
  ping,
  type SeatdAsker,
  seatOpened,
} from './asking-seatd.js';
import { removeGroups } from './remove-groups.js';
import { until } from './until.js';

const groups = ['left', 'right'].map((name) => join(cgroupRoot(), `hotseat-seatd-${process.pid}-${name}`));
const [leftGroup = '', rightGroup = ''] = groups;
for (const group of groups) mkdirSync(group);
const home = mkdtempSync(join(tmpdir(), 'hotseat-seatd-'));
const socket = join(home, 'seatd.sock');

const said: string[] = [];
/** Leases are for `namespace/seatd-leases`. */
const noCards: CardLessor = {
  hasOutputs: () => false,
  openCard: () => {
    throw new Error('there is no card');
  },
};
/** Paths that are being opened, or were. */
const begun: string[] = [];
/** Opens wait for these, by path. */
const gates = new Map<string, Promise<void>>();
/** A device that is opened while this is there cannot be revoked before it settles. */
let isBusy: Promise<void> | undefined;
const seats = new Seats(
  (text) => void said.push(text),
  () => undefined,
  noCards,
  async (device) => {
    begun.push(device.path);
    await gates.get(device.path);
    const opened = await OpenedDevice.open(device);
    const busy = isBusy;
    // As in the kernel (evdev.c), where any process that has it open can hold up the request. `lab/descriptors` does.
    return busy === undefined
      ? opened
      : Object.assign(Object.create(opened) as OpenedDevice, { revoke: () => busy.then(() => opened.revoke()) });
  },
);

function device(name: string, number: string): ServedDevice {
  const syspath = realpathSync(`/sys/dev/char/${number}`);
  const incarnation = String(statSync(syspath).ino);
  return { id: `c${number}`, path: `/dev/${name}`, kind: 'input', number, syspath, incarnation };
}
const nothing = device('null', '1:3');
const zero = device('zero', '1:5');

let serial = 0;
let left: ServedSeat = {
  ...{ seat: 'left', path: socket, shown: undefined, cgroup: leftGroup, answersSwitch: true, devices: [nothing, zero] },
};
function want(change: Partial<ServedSeat> = {}): Promise<Done> {
  left = { ...left, ...change };
  return seats.want({ serial: ++serial, seats: [left], isAll: true });
}

const connect = (group = leftGroup, ...options: string[]) => connectTo(socket, group, ...options);

/** A client that is at the seat. */
async function atSeat(): Promise<SeatdAsker> {
  const client = await connect();
  client.say(openSeat);
  assert.is(await client.next(), seatOpened);
  assert.is(await client.next(), '8006');
  return client;
}

test('a client is at the seat at once, opens what is the seat’s, and gets the device itself', async () => {
  await want();
  const client = await atSeat();
  client.say(opened('/dev/null'));
  assert.is(await client.next(), '8003 01000000 1:3');
  client.say(opened('/dev/zero'));
  assert.is(await client.next(), '8003 02000000 1:5');
  client.say(opened('/dev/null'));
  assert.is(await client.next(), '8003 03000000 1:3', 'a second open has an id and a file of its own');
  assert.equal(seats.state[0]?.opened, ['c1:3', 'c1:5', 'c1:3']);
  client.say('0400040002000000');
  assert.is(await client.next(), '8004');
  assert.equal(seats.state[0]?.opened, ['c1:3', 'c1:3']);
  client.say('0400040002000000');
  assert.is(await client.next(), error(9), 'EBADF');
  client.say(ping);
  assert.is(await client.next(), '8007');
  await leave(client);
  await until('it has gone', () => seats.state[0]?.isOpen === false);
});

test('what is not the seat’s is refused, whatever way the path takes, and the connection stays', async () => {
  const client = await atSeat();
  for (const path of ['/dev/full', '/dev/../dev/null', '//dev/null', '/dev/null/', '', '/dev/input/event3']) {
    client.say(opened(path));
    assert.is(await client.next(), error(2), `${path}: ENOENT`);
  }
  client.say(opened('/dev/null'));
  assert.is(await client.next(), '8003 01000000 1:3');
  await leave(client);
});

test('a device that took the name or number of another one is not opened', async () => {
  const client = await atSeat();
  await want({
    devices: [
      { ...nothing, incarnation: '1' },
      { ...zero, path: '/dev/full' },
    ],
  });
  client.say(opened('/dev/null'));
  assert.is(await client.next(), error(19), 'ENODEV');
  client.say(opened('/dev/full'));
  assert.is(await client.next(), error(19), 'ENODEV');
  await want({ devices: [nothing, zero] });
  await leave(client);
});

test('the second client waits until the first has gone', async () => {
  const first = await atSeat();
  const second = await connect();
  second.say(openSeat);
  assert.is(await second.next(), seatOpened);
  second.say(opened('/dev/null'));
  assert.is(await second.next(), error(1), 'EPERM');
  await leave(first);
  assert.is(await second.next(), '8006');
  second.say(opened('/dev/null'));
  assert.is(await second.next(), '8003 01000000 1:3');
  second.say('02000000');
  assert.is(await second.next(), '8002');
  assert.is(seats.state[0]?.isOpen, false);
  second.say(openSeat);
  assert.is(await second.next(), seatOpened, 'and may come again');
  assert.is(await second.next(), '8006');
  await leave(second);
});

test('no session is switched; who cannot read an answer to that gets none', async () => {
  const client = await atSeat();
  client.say('0600040002000000');
  assert.is(await client.next(), error(22), 'EINVAL');
  await want({ answersSwitch: false });
  client.say(`0600040002000000${ping}`);
  assert.is(await client.next(), '8007');
  await want({ answersSwitch: true });
  client.say('05000000');
  assert.is(await client.next(), error(16), 'it acknowledges what nobody asked for');
  await leave(client);
});

test('what leaves the seat is taken back before that is said to be done, and what cannot be is named', async () => {
  const client = await atSeat();
  client.say(opened('/dev/null') + opened('/dev/zero'));
  await client.next();
  await client.next();
  const done = await want({ devices: [zero] });
  // These have no revocation: the agent then searches for the descriptors.
  assert.equal(Object.keys(done.left), ['c1:3']);
  assert.match(done.left['c1:3'] ?? '', /ENOTTY/);
  assert.is(done.done, serial);
  assert.equal(seats.state[0]?.opened, ['c1:5']);
  client.say('0400040001000000');
  assert.is(await client.next(), '8004', 'closing it late is fine');
  await want({ devices: [nothing, zero] });
  await leave(client);
});

test('an open that sleeps delays its own client only, and is void when the device leaves meanwhile', async () => {
  let open: () => void = () => undefined;
  gates.set(
    '/dev/null',
    new Promise((resolve) => {
      open = resolve;
    }),
  );
  const client = await atSeat();
  const other = await connect();
  begun.length = 0;
  client.say(opened('/dev/null') + ping);
  await until('it to be opened', () => begun.includes('/dev/null'));
  other.say(ping);
  assert.is(await other.next(), '8007');
  assert.is(client.heard.length, 3, 'nothing yet');
  await want({ devices: [zero] });
  open();
  assert.is(await client.next(), error(19), 'ENODEV');
  assert.is(await client.next(), '8007');
  gates.clear();
  await want({ devices: [nothing, zero] });
  await leave(client);
  await leave(other);
});

test('a device that the kernel does not get to take back is named soon, and other seats are served meanwhile', async () => {
  const client = await atSeat();
  let end: () => void = () => undefined;
  isBusy = new Promise((resolve) => {
    end = resolve;
  });
  client.say(opened('/dev/null'));
  await client.next();
  const right: ServedSeat = { ...left, seat: 'right', path: join(home, 'right.sock'), cgroup: rightGroup };
  left = { ...left, devices: [zero] };
  const began = performance.now();
  const slow = seats.want({ serial: ++serial, seats: [left], isAll: false });
  const quick = await seats.want({ serial: ++serial, seats: [right], isAll: false });
  assert.ok(performance.now() - began < 1500, 'nobody else waits');
  const notYet = /^\/dev\/null is not taken back yet: somebody who has/;
  assert.match(quick.left['c1:3'] ?? '', notYet, 'whoever asks is told');
  assert.match((await slow).left['c1:3'] ?? '', notYet);
  await leave(client);
  const nobody = await seats.want({ serial: ++serial, seats: [], isAll: true });
  assert.match(nobody.left['c1:3'] ?? '', notYet, 'also when its client and its seat have gone');
  assert.match((await want()).left['c1:3'] ?? '', notYet);
  end();
  isBusy = undefined;
  let last = await want({ devices: [nothing, zero] });
  for (let tries = 0; tries < 100 && last.left['c1:3'] !== undefined; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    last = await want();
  }
  assert.equal(last.left, {});
});

test('only processes of the container are served; who comes before it is known waits', async () => {
  const stranger = await connect(rightGroup);
  assert.is(await stranger.next(), 'closed');
  assert.ok(said.some((text) => text.includes(`somebody in ${rightGroup}`)));
  await want({ cgroup: undefined });
  const early = await connect();
  early.say(openSeat);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.is(early.heard.length, 1);
  await want({ cgroup: leftGroup });
  assert.is(await early.next(), seatOpened);
  assert.is(await early.next(), '8006');
  // Another container has the seat now.
  await want({ cgroup: rightGroup });
  assert.is(await early.next(), 'closed');
  await want({ cgroup: leftGroup });
  await leave(stranger);
  await leave(early);
});

test('whoever does not speak the protocol is closed, and nobody else', async () => {
  const other = await atSeat();
  for (const nonsense of ['09000000', `${openSeat}${openSeat}`, '0400040001000000', '0300ffff', '474554202f0d0a0d0a']) {
    const client = await connect();
    client.say(nonsense);
    await until(`${nonsense} is closed`, () => client.heard.at(-1) === 'closed');
    await leave(client);
  }
  other.say(ping);
  assert.is(await other.next(), '8007');
  await leave(other);
});

test('a client opens no more than 128 devices', async () => {
  const client = await atSeat();
  client.say(opened('/dev/null').repeat(129));
  for (let id = 1; id <= 128; id++) assert.match(await client.next(), /^8003 /);
  assert.is(await client.next(), error(24), 'EMFILE');
  await leave(client);
  await until('all is closed', () => seats.state[0]?.isOpen === false);
});

test('who asks without end, or never reads, is no hindrance to others and costs nothing', async () => {
  const before = openFiles();
  const deaf = await connect(leftGroup, 'deaf');
  deaf.say(openSeat);
  const flood = opened('/dev/null').repeat(100);
  for (let count = 0; count < 20; count++) deaf.say(flood + ping.repeat(5000));
  const other = await connect();
  const began = performance.now();
  for (let count = 0; count < 20; count++) {
    other.say(ping);
    assert.is(await other.next(), '8007');
  }
  assert.ok(performance.now() - began < 5000);
  await leave(deaf);
  await leave(other);
  await until('all is closed', () => openFiles() <= before);
  const crowd = await Promise.all(Array.from({ length: 9 }, () => connect()));
  await until('one too many is sent away', () => crowd.some(({ heard }) => heard.includes('closed')));
  await Promise.all(crowd.map(leave));
});

/** A client by libseat itself, as this machine has it. */
const library = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/libseat.so.1`;
const byLibseat = `
import ctypes, os, sys
open(sys.argv[2] + '/cgroup.procs', 'w').write(str(os.getpid()))
os.environ.update(SEATD_SOCK=sys.argv[1], LIBSEAT_BACKEND='seatd')
lib = ctypes.CDLL(sys.argv[3], use_errno=True)
pointer = ctypes.c_void_p
lib.libseat_open_seat.restype = pointer
lib.libseat_open_seat.argtypes = [pointer, pointer]
lib.libseat_seat_name.restype = ctypes.c_char_p
Changed = ctypes.CFUNCTYPE(None, pointer, pointer)
enabled = []
enable, disable = Changed(lambda *_: enabled.append(1)), Changed(lambda *_: print('disabled', flush=True))
listener = (pointer * 2)(ctypes.cast(enable, pointer), ctypes.cast(disable, pointer))
seat = pointer(lib.libseat_open_seat(listener, None))
while not enabled: lib.libseat_dispatch(seat, -1)
print(lib.libseat_seat_name(seat).decode(), flush=True)
def open_device(path):
    fd = ctypes.c_int(-1)
    device = lib.libseat_open_device(seat, path, ctypes.byref(fd))
    print(device, os.fstat(fd.value).st_rdev if device > 0 else ctypes.get_errno(), flush=True)
    return device
first = open_device(b'/dev/null')
open_device(b'/dev/full')
switched = lib.libseat_switch_session(seat, 2)
print('switch', switched, ctypes.get_errno() if switched else 0, flush=True)
open_device(b'/dev/zero')
print('dispatch', lib.libseat_dispatch(seat, 0), flush=True)
print('close', lib.libseat_close_device(seat, first), lib.libseat_close_seat(seat), flush=True)
`;

test('libseat itself is served, the one that waits for an answer to a switch and the one that does not', async () => {
  assert.ok(existsSync(library), `${library}: apt-get install libseat1`);
  const answers = isNewer(readFileSync(library, 'utf8'));
  await want({ answersSwitch: answers });
  const { stdout } = await promisify(execFile)('python3', ['-c', byLibseat, socket, leftGroup, library], {
    timeout: 20_000,
  });
  await want({ answersSwitch: true });
  assert.equal(stdout.trim().split('\n'), [
    ...['seat0', '1 259', '-1 2', answers ? 'switch -1 22' : 'switch 0 0', '2 261'],
    ...['dispatch 0', 'close 0 0'],
  ]);
});

test('a seat that is not served any more has no socket, and whoever was there is gone', async () => {
  await want();
  const client = await atSeat();
  assert.equal((await seats.want({ serial: ++serial, seats: [], isAll: true })).left, {});
  assert.is(await client.next(), 'closed');
  assert.equal(seats.state, []);
  await leave(client);
});

const openFiles = (): number =>
  Number(spawnSync('sh', ['-c', `ls /proc/${process.pid}/fd | wc -l`], { encoding: 'utf8' }).stdout);

test.after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await seats.want({ serial: ++serial, seats: [], isAll: true });
  await removeGroups(groups);
  rmSync(home, { recursive: true });
});

test.run();
