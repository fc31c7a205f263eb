import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { unrecorded } from '../../agent/core/audit.js';
import { type DeviceNumber, numberText } from '../../agent/core/device.js';
import type { DesiredDevice, DesiredSeat } from '../../agent/core/state.js';
import type { NodeSpec } from '../../agent/core/step.js';
import type { Container } from '../../agent/engines/engine.js';
import { pidsBelow } from '../../agent/engines/process.js';
import { cgroupId, cgroupRoot, freeze, isToFreeze, thaw } from '../../agent/kernel/cgroup.js';
import { DeviceMap } from '../../agent/kernel/device-map.js';
import { hasty, type Search } from '../../agent/kernel/holders.js';
import type { Namespaces } from '../../agent/kernel/namespaces.js';
import { pidfdGetDevice, pidfdOpen } from '../../agent/kernel/pidfd.js';
import type { ProcessRef } from '../../agent/kernel/process-key.js';
import type { Loss, Reclaim } from '../../agent/kernel/reclaim.js';
import { noDescriptors } from '../../agent/seat/descriptors.js';
import { SeatDirectory } from '../../agent/seat/directory.js';
import { effectsBy } from '../../agent/seat/effects.js';
import { Grants } from '../../agent/seat/grants.js';
import { Journal } from '../../agent/seat/journal.js';
import { graftsOf, journalRoot, standstillOf } from '../../agent/seat/layout.js';
import { doubts } from '../../agent/seat/revoke.js';
import { goOn, whileStill } from '../../agent/seat/standstill.js';
import { thawAll } from '../../agent/seat/thaw-all.js';
import { type SeatDeps, SeatWorker } from '../../agent/seat/worker.js';
import { childrenOf } from './children-of.js';
import { hands } from './hands.js';
import { longestWait } from './longest-wait.js';
import { standIn } from './stand-in.js';
import { unshared } from './unshared.js';
import { until } from './until.js';
import { wishesOf } from './wishes-of.js';

/*
 * What root in a privileged container can do to its own seat's directories, files and processes. It may spoil its own
 * seat by that, but neither keep a device that it must lose, nor trouble the agent.
 */
unshared(import.meta.url);

const root = join(cgroupRoot(), `hotseat-hostile-${process.pid}`);
const { namespaces, reclaim, effects } = hands();
const children: ChildProcess[] = [];
const workers = new Set<SeatWorker>();
let map: DeviceMap;
let runs = 0;

/** A device that is not plugged to any bus; sysfs knows its number, and nobody but a test has it open. */
function device(name: string, major: number, minor: number): DesiredDevice {
  const number: DeviceNumber = { major, minor };
  const syspath = `/sys/devices/virtual/mem/${name}`;
  const id = `c${numberText(number)}`;
  return {
    record: { id, text: 'V:1\n', tags: ['seat'] },
    links: [],
    entry: {
      ...{ id, syspath, unit: syspath, tags: ['seat'], rule: 'left.yaml:3', hard: false, knownTo: undefined },
      properties: { DEVPATH: syspath.slice('/sys'.length), SUBSYSTEM: 'input', DEVNAME: `/dev/input/event${minor}` },
      node: { class: 'input', name: `event${minor}`, number, uid: 0, gid: 0, mode: 0o660 },
    },
  };
}
/** The same with a graphics card's node. */
const asCard = (one: DesiredDevice): DesiredDevice => ({
  ...one,
  entry: { ...one.entry, node: one.entry.node && { ...one.entry.node, class: 'dri' } },
});
/** A program that has /dev/full open in a message which nobody has read, until it is asked something. */
const keptInMessage = `import array, os, socket, sys
reader, writer = socket.socketpair()
card = os.open('/dev/full', os.O_RDWR)
writer.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [card]))])
os.close(card)
print('ready', flush=True)
sys.stdin.readline()`;
/**
 * A process that has it among the files of an io_uring, which is registered with the thread and has no descriptor any
 * more.
 */
const keptInRing = `import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
ring = libc.syscall(425, 8, ctypes.create_string_buffer(120)) # io_uring_setup
card = os.open('/dev/full', os.O_RDWR)
assert libc.syscall(427, ring, 2, (ctypes.c_int * 1)(card), 1) == 0 # IORING_REGISTER_FILES
own = ctypes.create_string_buffer(struct.pack('IIQ', 2**32 - 1, 0, ring))
assert libc.syscall(427, ring, 20, own, 1) == 1 # IORING_REGISTER_RING_FDS
os.close(ring)
os.close(card)
print('ready', flush=True)
sys.stdin.readline()`;
const full = device('full', 1, 7);
const kmsg = device('kmsg', 1, 11);
const seatOf = (...devices: DesiredDevice[]): DesiredSeat => ({ devices, unknown: [] });

async function begin(also?: string): Promise<Container> {
  const { child, container } = await standIn(join(root, `payload-${++runs}`), also);
  children.push(child);
  return container;
}

let seats = 0;
function agent(more: Partial<SeatDeps> = {}, seat = `seat${++seats}`): SeatWorker {
  const worker = new SeatWorker(seat, {
    ...{ log: pino({ level: 'silent' }), namespaces, tell: () => undefined, released: () => undefined },
    directory: new SeatDirectory(seat),
    journal: new Journal(journalRoot(seat), (file) => assert.unreachable(file)),
    grants: new Grants(map),
    descriptors: noDescriptors,
    present: () => true,
    mayHave: () => true,
    keepers: () => [],
    effects,
    ...{ audit: unrecorded, measure: () => undefined, receivedNs: () => undefined },
    ...more,
  });
  workers.add(worker);
  return worker;
}

async function serve(worker: SeatWorker, seat: DesiredSeat, to: Container | undefined): Promise<void> {
  worker.wantAll(wishesOf(seat), graftsOf(['input']));
  worker.serve(to, to === undefined ? [] : [to]);
  await worker.trigger();
}

/** As root of the container, with its view of the seat's directories made writable. */
function inside({ pid }: Container, script: string): void {
  const writable = 'mount -o remount,bind,rw /dev/input; mount -o remount,bind,rw /run/udev;';
  execFileSync('nsenter', ['--mount', '--target', String(pid), '--', 'sh', '-ec', `${writable} ${script}`]);
}

const granted = (): string[] => [...map.grants().values()].flatMap((numbers) => [...numbers.keys()]).sort();
const units = (worker: SeatWorker): string[] => worker.report().entries.map(({ syspath }) => syspath);

test.before(async () => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  mkdirSync(root);
  map = DeviceMap.open({ cgroupRoot: root });
  await namespaces.start();
});
// A test that fails leaves nothing that troubles the next one.
test.after.each(async () => {
  for (const worker of workers) await worker.close();
  workers.clear();
  for (const child of children.splice(0)) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await new Promise((done) => child.once('close', done));
  }
});
test.after(async () => {
  namespaces.close();
  map.remove();
  map.close();
  for (; runs > 0; runs--) rmdirSync(join(root, `payload-${runs}`));
  rmdirSync(root);
});

test('a container of which nobody can tell who its root is, is guarded, loses what it had and is given nothing', async () => {
  const container = await begin();
  const worker = agent();
  await serve(worker, seatOf(full), container);
  assert.equal(granted(), ['1:7']);
  const unclear: Container = { ...container, state: 'unclear' };
  await serve(worker, seatOf(kmsg), unclear);
  assert.equal(granted(), []);
  assert.equal(units(worker), []);
  assert.match(worker.report().problem ?? '', /is unclear, .*: restart it/);

  const next = await begin();
  const another = agent();
  await serve(another, seatOf(kmsg), { ...next, state: 'unclear' });
  assert.equal(granted(), []);
  assert.ok(
    map.read().some(({ cgroup, number }) => cgroup === cgroupId(next.cgroup) && number.major === 0),
    'guarded',
  );
});

test('descriptors are taken back from who loses a device, and not from who keeps it', async () => {
  const holding = 'mknod -m 666 /dev/full c 1 7 && exec 7</dev/full';
  const [loser, keeper] = [await begin(holding), await begin(holding)];
  const node = { ...full.entry.node, class: 'input', name: 'event0' } as NodeSpec;
  const mark = standstillOf('shared');
  mkdirSync(join(mark, '..'), { recursive: true });
  const taken = async (keepers: readonly string[]) =>
    (await effects.revoke([node], { cgroup: loser.cgroup, users: [], keepers, mark })).left.flatMap(
      (reason) => /pid (\d+)/.exec(reason)?.[1] ?? [],
    );
  assert.equal((await taken([])).sort(), [loser.pid, keeper.pid].map(String).sort(), 'else this shows nothing');
  assert.equal(await taken([keeper.cgroup]), [String(loser.pid)]);
  for (const child of children.splice(0)) {
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
  }
});

test('a mark that a killed agent has left lets no other container of the same path go on', async () => {
  const path = join(cgroupRoot(), `hotseat-same-path-${process.pid}`);
  const [mark, left] = [standstillOf('same-path'), standstillOf('same-path-left')];
  mkdirSync(path);
  await whileStill(path, mark, async () => copyFileSync(mark, left));
  assert.not.ok(isToFreeze(path), 'it goes on');
  rmdirSync(path);
  mkdirSync(path);
  assert.ok(await freeze(path, { timeoutMs: 1000 }), 'its admin has it stand still');
  await goOn(left);
  assert.equal([isToFreeze(path), existsSync(left)], [true, false]);
  await thaw(path, { timeoutMs: 1000 });
  rmdirSync(path);
});

test('a container that can be given nothing any more still loses what it has', async () => {
  const made = await begin('mount -t tmpfs etc /etc');
  const worker = agent();
  await serve(worker, seatOf(full), made);
  assert.equal(granted(), ['1:7']);
  inside(made, 'mkfifo /etc/passwd');
  await worker.recheck();
  assert.match(worker.report().problem ?? '', /etc\/passwd is no plain file/);
  await serve(worker, seatOf(), made);
  assert.equal(granted(), []);
  assert.equal(units(worker), []);
});

test('what leaves a container of a user is bound again, and stays, with the reason, where that cannot be done', async () => {
  const made = { ...(await begin()), user: 'anna' };
  const worker = agent();
  await serve(worker, seatOf(full), made);
  assert.equal(units(worker), [full.entry.syspath]);
  // The container ends; its user may have given descriptors to other processes of hers.
  await serve(worker, seatOf(full), undefined);
  await serve(worker, seatOf(), undefined);
  assert.match(worker.report().problem ?? '', /may still be open somewhere \(.*no USB device, HID device or PS/);
  assert.equal(units(worker), [full.entry.syspath]);
});

for (const [where, by] of [
  ['a group of its own', 'the same agent'],
  ['the same group', 'the same agent'],
  ['a group of its own', 'the next agent'],
  ['the same group', 'the next agent'],
] as const) {
  test(`who is left of a container that has ended has nothing by the time the next one, in ${where}, gets the seat of ${by}`, async () => {
    const former = await begin();
    let worker = agent();
    await serve(worker, seatOf(full), former);
    assert.equal(units(worker), [full.entry.syspath]);
    const stay = `echo $$ > ${former.cgroup}/cgroup.procs && exec 7</dev/full && echo up && exec sleep 600`;
    const parked = spawn('unshare', ['--pid', '--fork', '--kill-child', 'sh', '-c', stay], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(parked);
    await new Promise((resolve) => parked.stdout?.once('data', resolve));
    const [left = 0] = childrenOf(parked.pid);
    process.kill(former.pid, 'SIGKILL');
    await serve(worker, seatOf(full), undefined);
    if (by === 'the next agent') {
      workers.delete(worker);
      await worker.close();
      worker = agent({}, worker.seat);
    }

    const { child, container } = await standIn(
      where === 'the same group' ? former.cgroup : join(root, `payload-${++runs}`),
    );
    children.push(child);
    await serve(worker, seatOf(full), container);
    assert.match(worker.report().problem ?? '', new RegExp(`\\(pid ${left}\\)`));
    assert.equal(granted(), []);
    const ended = new Promise((resolve) => parked.once('exit', resolve));
    parked.kill('SIGKILL');
    await ended;
    await until('its group to know of that', () => !pidsBelow(former.cgroup).includes(left));
    await worker.trigger();
    assert.equal([worker.report().problem, granted()], [undefined, ['1:7']]);
    assert.is(worker.report().entries[0]?.knownTo, container.key);
    await serve(worker, seatOf(), container);
  });
}

test('directories that cannot be tidied up keep no device in the seat', async () => {
  const made = await begin();
  let released = 0;
  const worker = agent({ released: () => void released++ });
  await serve(worker, seatOf(full), made);
  inside(made, 'chattr +i /dev/input /run/udev/data');
  await serve(worker, seatOf(), made);
  assert.equal(granted(), []);
  assert.equal(units(worker), []);
  assert.is(released, 1, 'another seat may have it now');
  assert.match(worker.report().problem ?? '', /EPERM/, 'what is left lying is said');
  inside(made, 'chattr -i /dev/input /run/udev/data');
  await worker.recheck();
  assert.is(worker.report().problem, undefined);
});

test('whatever is found in the directories troubles nobody', async () => {
  const made = await begin();
  const worker = agent();
  await serve(worker, seatOf(full), made);
  inside(
    made,
    `mkdir /dev/input/hole /dev/input/by-path; printf x > "$(printf '/dev/input/hole/\\377')"
     ln -s /etc /dev/input/by-path/link; ln -s / /dev/input/root; mkdir /run/udev/data/c1:9
     printf x > /run/udev/tags/plain; ln -s /etc /run/udev/tags/link
     printf x > "/run/udev/tags/$(printf '%0255d' 0 | tr 0 '\\377')"`,
  );
  await worker.recheck();
  assert.is(worker.report().problem, undefined);
  await serve(worker, seatOf(), made);
  assert.equal([worker.report().problem, units(worker)], [undefined, []]);
  await serve(worker, seatOf(full), made);
  inside(made, 'rm -r /run/udev/data /run/udev/tags; ln -s /etc /run/udev/data; printf x > /run/udev/tags');
  workers.delete(worker);
  await worker.close();
  const next = agent({}, worker.seat);
  await serve(next, seatOf(full), made);
  assert.is(next.report().problem, undefined);
  await serve(next, seatOf(), made);
  assert.equal([next.report().problem, units(next)], [undefined, []]);
});

/** A process of the container that has a node open. */
async function holding({ cgroup }: Container, path: string): Promise<ChildProcess> {
  const script = `echo $$ > ${cgroup}/cgroup.procs; exec sleep 600 < ${path}`;
  const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'ignore', 'inherit'] });
  children.push(child);
  for (let tries = 0; tries < 200 && !readFileSync(`/proc/${child.pid}/comm`, 'utf8').startsWith('sleep'); tries++) {
    await new Promise((done) => setTimeout(done, 20));
  }
  return child;
}

async function ended(child: ChildProcess): Promise<void> {
  const over = new Promise((done) => child.once('close', done));
  child.kill('SIGKILL');
  await over;
}

/** A Python program as a process of the container, and how to talk with it; resolves when it has said something. */
async function script({ cgroup }: Pick<Container, 'cgroup'>, program: string) {
  const enter = `echo $$ > ${cgroup}/cgroup.procs; exec /usr/bin/python3 -c "$PROGRAM"`;
  const env = { ...process.env, PROGRAM: program };
  const child = spawn('sh', ['-c', enter], { stdio: ['pipe', 'pipe', 'inherit'], env });
  children.push(child);
  // A line may come in pieces.
  const lines = createInterface({ input: child.stdout });
  const says = () => new Promise<string>((resolve) => lines.once('line', resolve));
  const ask = (line: string): Promise<string> => {
    const answer = says();
    child.stdin.write(`${line}\n`);
    return answer;
  };
  await says();
  return { child, ask };
}

test('a node that has left is opened by nobody who kept a descriptor of its path', async () => {
  const made = await begin();
  const worker = agent();
  const node = { ...full.entry.node, uid: 65534, gid: 65534, mode: 0o600 } as typeof full.entry.node;
  await serve(worker, seatOf({ ...full, entry: { ...full.entry, node } }), made);
  const path = join(new SeatDirectory(worker.seat).path, 'dev/input/event7');
  // In no container's group: only the node's own permissions stand between it and the device.
  const { ask } = await script(
    { ...made, cgroup: root },
    `import os, sys
path = os.open('${path}', os.O_PATH)
os.setgid(65534)
os.setuid(65534)
print('ready', flush=True)
for line in sys.stdin:
    try:
        os.close(os.open(f'/proc/self/fd/{path}', os.O_RDWR))
        print('opened', flush=True)
    except OSError as error:
        print('refused', flush=True)`,
  );
  assert.is(await ask('try'), 'opened', 'while it is there: else this shows nothing');
  await serve(worker, seatOf(), made);
  assert.equal([worker.report().problem, units(worker)], [undefined, []]);
  assert.is(await ask('try'), 'refused');
});

/**
 * A program that has far more open than is looked at of one owner while a container stands still, and a message in which
 * anything may be: nobody would look otherwise.
 */
const manyDescriptors = (forks: number): string => `import array, ctypes, os, resource, signal, socket
most = min(19_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100)
resource.setrlimit(resource.RLIMIT_NOFILE, (most + 100, most + 100))
one, other = socket.socketpair()
other.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0]))])
for _ in range(most): os.dup(one.fileno())
for _ in range(${forks}):
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(1, 9) # PR_SET_PDEATHSIG
        signal.pause()
print('ready', flush=True)
signal.pause()`;

test('a container with more descriptors than anybody looks at stops no one else, and is said to have them', async () => {
  const made = await begin();
  const worker = agent();
  await serve(worker, seatOf(full), made);
  const { child } = await script(made, manyDescriptors(5));
  const longest = await longestWait(() => serve(worker, seatOf(), made));
  assert.ok(longest < 500, `${longest} ms`);
  assert.match(worker.report().problem ?? '', /python3 \(pid \d+\) is of somebody with too many descriptors/);
  assert.not.match(readFileSync(join(made.cgroup, 'cgroup.events'), 'utf8'), /^frozen 1$/m);
  assert.equal(granted(), []);
  const parked = readFileSync(join(made.cgroup, 'cgroup.procs'), 'utf8').trim().split('\n').map(Number);
  for (const pid of parked)
    if (readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('python3')) process.kill(pid, 'SIGKILL');
  await new Promise((done) => child.once('close', done));
  await worker.recheck();
  assert.equal([worker.report().problem, units(worker)], [undefined, []]);
});

test('an ordinary user who has as many keeps no device in a seat, and stops no one either', async () => {
  const made = await begin();
  const worker = agent();
  await serve(worker, seatOf(full), made);
  const { child } = await script({ ...made, cgroup: root }, `import os\nos.setuid(4242)\n${manyDescriptors(1)}`);
  const mark = { cgroup: made.cgroup, users: [], keepers: [], mark: standstillOf(worker.seat) };
  const node = full.entry.node as NodeSpec;
  assert.match(
    (await effects.revoke([node], mark)).suspected.join(),
    /^python3 /,
    'not all was looked at: else this shows nothing',
  );
  const longest = await longestWait(() => serve(worker, seatOf(), made));
  assert.ok(longest < 500, `${longest} ms`);
  assert.equal([worker.report().problem, units(worker), granted()], [undefined, [], []]);
  await ended(child);
});

test('a card that lies in a message which nobody has read does not move before it is let go', async () => {
  const made = await begin();
  const worker = agent();
  await serve(worker, seatOf(asCard(full)), made);
  const { ask } = await script(
    made,
    `${keptInMessage}
reader.close()
print('let go', flush=True)
sys.stdin.readline()`,
  );
  await serve(worker, seatOf(), made);
  assert.match(worker.report().problem ?? '', /cannot leave: python3 \(pid \d+\) may have descriptors in flight/);
  assert.equal(units(worker), [full.entry.syspath]);
  assert.is(await ask('let go'), 'let go');
  await worker.recheck();
  assert.equal([worker.report().problem, units(worker)], [undefined, []]);
});

test('a card that an io_uring without a descriptor keeps open does not move before the process ends', async () => {
  const made = await begin();
  const worker = agent();
  await serve(worker, seatOf(asCard(full)), made);
  const { child } = await script(made, keptInRing);
  const { holders } = await effects.findHolders({
    nodes: [{ number: { major: 1, minor: 7 }, by: undefined }],
    ...{ limits: hasty, cgroup: undefined, keepers: [] },
  });
  assert.equal(holders, [], 'nothing shows it');
  await serve(worker, seatOf(), made);
  assert.match(worker.report().problem ?? '', /cannot leave: python3 \(pid \d+\) may have descriptors in flight/);
  await ended(child);
  await worker.recheck();
  assert.equal([worker.report().problem, units(worker)], [undefined, []]);
});

/** The same program in no container's group, of an ordinary user of the PC: a friend of the container's root. */
async function handed(program: string): Promise<ChildProcess> {
  const own = program.replace("print('ready'", "os.setgid(4242)\nos.setuid(4242)\nprint('ready'");
  return (await script({ cgroup: root }, own)).child;
}

for (const [hiding, program] of [
  ['a message', keptInMessage],
  ['an io_uring', keptInRing],
] as const) {
  test(`a card that somebody else was handed and has in ${hiding} does not move before he lets it go`, async () => {
    const made = await begin();
    const worker = agent();
    await serve(worker, seatOf(asCard(full)), made);
    const child = await handed(program);
    await serve(worker, seatOf(), made);
    assert.match(worker.report().problem ?? '', /python3 \(pid \d+\) may have been handed it/);
    assert.equal(units(worker), [full.entry.syspath]);
    await ended(child);
    await worker.recheck();
    assert.equal([worker.report().problem, units(worker)], [undefined, []]);
  });
}

test('the driver is bound again when somebody else may have been handed an input', async () => {
  const made = await begin();
  const bound: string[] = [];
  const rebind = async (unit: string): Promise<string> => {
    bound.push(unit);
    return 'a port';
  };
  const worker = agent({ effects: { ...effects, rebind } });
  await serve(worker, seatOf(full), made);
  const child = await handed(keptInMessage);
  await serve(worker, seatOf(), made);
  assert.equal([bound, worker.report().problem, units(worker)], [[full.entry.syspath], undefined, []]);
  await ended(child);
});

test('a stranger with something in flight does not hold up a device whose driver cannot be bound again', async () => {
  const made = await begin();
  const rebind = () => Promise.reject(new Error('it is on no USB device'));
  const worker = agent({ effects: { ...effects, rebind } });
  await serve(worker, seatOf(full), made);
  const child = await handed(keptInRing);
  await serve(worker, seatOf(), made);
  assert.equal([worker.report().problem, units(worker)], [undefined, []]);
  await ended(child);
});

test('what is in flight counts with strangers, but not with the PC itself, who keeps the device, or when nobody loses it', () => {
  const one = { pid: 7, command: 'x', cgroup: '/sys/fs/cgroup/other', uid: 4242, isHosts: false };
  const search = { holders: [], inFlight: [one], unseen: [], ringsUnseen: undefined, clients: undefined };
  const loser = { cgroup: '/sys/fs/cgroup/left', users: [], keepers: [] };
  assert.is(doubts(search, loser).handed.length, 1);
  assert.equal(doubts({ ...search, inFlight: [{ ...one, isHosts: true }] }, loser).handed, []);
  assert.equal(doubts(search, { ...loser, keepers: [one.cgroup] }).handed, []);
  assert.equal(doubts(search, { ...loser, cgroup: undefined }).handed, []);
  assert.is(doubts({ ...search, inFlight: Array(100).fill(one) }, loser).handed.length, 3);
});

test('what the kernel says of who has a card open ends every doubt about it, unless another seat keeps the card', () => {
  const theirs = { pid: 7, command: 'x', cgroup: '/sys/fs/cgroup/left', uid: 0, isHosts: false };
  const search = { holders: [], inFlight: [theirs], unseen: [], ringsUnseen: 'no BTF', clients: [] };
  const loser = { cgroup: theirs.cgroup, users: [], keepers: [] };
  assert.equal(doubts(search, loser), { left: [], suspected: [], handed: [] });
  const { left } = doubts({ ...search, inFlight: [], clients: ['Xorg (pid 9)'] }, loser);
  assert.equal(left, ['the kernel says that Xorg (pid 9) has it open']);
  assert.is(doubts(search, { ...loser, keepers: ['/sys/fs/cgroup/right'] }).left.length, 2);
});

test('where the kernel does not tell which processes have an io_uring, whoever loses a device is suspected, and nobody else', () => {
  const search = { holders: [], inFlight: [], unseen: [], ringsUnseen: 'no BTF', clients: undefined };
  const why = ['it cannot be told which processes have an io_uring: no BTF'];
  const keepers: string[] = [];
  assert.equal(doubts(search, { cgroup: '/sys/fs/cgroup/left', users: [], keepers }).left, why);
  assert.equal(doubts(search, { cgroup: undefined, users: [{ first: 4242, last: 4242 }], keepers }).left, why);
  assert.equal(doubts(search, { cgroup: undefined, users: [], keepers }).left, []);
});

for (const isOver of [false, true]) {
  test(`a card that a rootless user has in a message of any process of hers stays${isOver ? ', also when her container has ended' : ''}`, async () => {
    const user = 4242;
    const made = { ...(await begin()), user: String(user) };
    const worker = agent();
    await serve(worker, seatOf(asCard(full)), made);
    const { child } = await script({ ...made, cgroup: root }, `import os\nos.setuid(${user})\n${keptInMessage}`);
    if (isOver) {
      process.kill(made.pid, 'SIGKILL');
      await until('its group to be empty', () => pidsBelow(made.cgroup).length === 0);
      await serve(worker, seatOf(asCard(full)), undefined);
    }
    await serve(worker, seatOf(), isOver ? undefined : made);
    assert.match(worker.report().problem ?? '', /cannot leave: python3 \(pid \d+\) may have descriptors in flight/);
    await ended(child);
    await worker.recheck();
    assert.equal([worker.report().problem, units(worker)], [undefined, []]);
  });
}

test('what a rootless user’s container had is taken back before a container of somebody else gets the seat', async () => {
  const former = { ...(await begin()), user: '4242' };
  const worker = agent();
  await serve(worker, seatOf(full), former);
  process.kill(former.pid, 'SIGKILL');
  await until('its group to be empty', () => pidsBelow(former.cgroup).length === 0);
  await serve(worker, seatOf(full), undefined);
  await serve(worker, seatOf(full), { ...(await begin()), user: '4343' });
  assert.match(worker.report().problem ?? '', /may still be open somewhere/);
  assert.equal(granted(), []);
});

test('a card that is mapped, with no descriptor left, does not move before it is let go', async () => {
  const made = await begin();
  // Any program of the machine may have this one open.
  const of = (search: Search): Search => ({
    ...search,
    holders: search.holders.filter(({ cgroup }) => cgroup.startsWith(root)),
  });
  const ours = Object.assign(Object.create(reclaim) as Reclaim, {
    search: async (loss: Loss) => of(await reclaim.search(loss)),
    takeBack: async (loss: Loss) => {
      const taken = await reclaim.takeBack(loss);
      return taken && { ...taken, search: of(taken.search) };
    },
  });
  const worker = agent({ effects: effectsBy(ours) });
  const zero = device('zero', 1, 5);
  await serve(worker, seatOf(asCard(zero)), made);
  const { child } = await script(
    made,
    `import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
card = os.open('/dev/zero', os.O_RDWR)
memory = libc.mmap(None, 4096, 3, 2, card, 0) # PROT_READ | PROT_WRITE, MAP_PRIVATE
os.close(card)
print('ready', flush=True)
sys.stdin.readline()`,
  );
  await serve(worker, seatOf(), made);
  assert.match(worker.report().problem ?? '', /cannot leave: pid \d+: has it mapped/);
  assert.equal(units(worker), [zero.entry.syspath]);
  await ended(child);
  await worker.recheck();
  assert.equal([worker.report().problem, units(worker)], [undefined, []]);
});

test('a descriptor is found by what it is, however long its path', async () => {
  const made = await begin();
  const worker = agent();
  await serve(worker, seatOf(full), made);
  const { child } = await script(
    made,
    `import ctypes, os, sys
libc = ctypes.CDLL(None)
assert libc.unshare(0x20000) == 0
os.makedirs('/run/deep')
assert libc.mount(b'deep', b'/run/deep', b'tmpfs', 0, None) == 0
os.chdir('/run/deep')
for step in range(20):
    os.mkdir('d' * 250)
    os.chdir('d' * 250)
os.close(os.open('node', os.O_CREAT))
assert libc.mount(b'/dev/full', b'node', None, 4096, None) == 0
held = os.open('node', os.O_RDONLY)
try:
    os.readlink(f'/proc/self/fd/{held}')
    sys.exit('its path can be read: this shows nothing')
except OSError:
    pass
print('ready', flush=True)
sys.stdin.readline()`,
  );
  await serve(worker, seatOf(), made);
  assert.match(worker.report().problem ?? '', new RegExp(`\\(pid ${child.pid}\\) holds input/event7|it leaves when`));
  assert.equal(units(worker), [full.entry.syspath]);
  await ended(child);
  await worker.recheck();
  assert.equal(units(worker), []);
});

test('a device that cannot be taken back holds up no other', async () => {
  const made = await begin();
  let released = 0;
  const worker = agent({ released: () => void released++ });
  await serve(worker, seatOf(full), made);
  const holder = await holding(made, '/dev/full');
  await serve(worker, seatOf(kmsg), made);
  assert.match(
    worker.report().problem ?? '',
    /full is on no USB device, HID device or PS|it leaves when they let it go/,
  );
  assert.equal(units(worker).sort(), [full.entry.syspath, kmsg.entry.syspath]);
  assert.equal(granted(), ['1:11'], 'what is denied stays denied');
  await serve(worker, seatOf(), made);
  assert.equal(units(worker), [full.entry.syspath]);
  assert.is(released, 1);
  await ended(holder);
  await worker.trigger();
  assert.equal([worker.report().problem, units(worker)], [undefined, []]);
});

test('what was told to go and could not be taken back is told of again when it stays after all', async () => {
  const made = await begin();
  const worker = agent();
  const known = () => worker.report().entries.map(({ knownTo }) => knownTo);
  await serve(worker, seatOf(full), made);
  assert.equal(known(), [made.key]);
  const holder = await holding(made, '/dev/full');
  await serve(worker, seatOf(), made);
  assert.equal(known(), [undefined]);
  await serve(worker, seatOf(full), made);
  assert.equal(known(), [made.key]);
  await ended(holder);
  await serve(worker, seatOf(), made);
  assert.equal(units(worker), []);
});

test('a descriptor under whose number something else is open by now is not taken for the device', () => {
  const pidfd = pidfdOpen(process.pid);
  const fd = openSync('/dev/zero', 'r');
  closeSync(pidfdGetDevice(pidfd, fd, { major: 1, minor: 5 }));
  const before = readdirSync('/proc/self/fd').length;
  assert.throws(() => pidfdGetDevice(pidfd, fd, { major: 1, minor: 3 }), /ESTALE/);
  assert.is(readdirSync('/proc/self/fd').length, before, 'the copy is left open');
  for (const open of [pidfd, fd]) closeSync(open);
});

/** A process that waits inside the kernel, for a page of its own memory that nobody brings: no freezer gets it. */
async function stuck({ cgroup }: Container): Promise<ChildProcess> {
  const script = `
import ctypes, mmap, os, struct, threading
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.syscall(323, 0o2000000)
libc.ioctl(fd, 0xc018aa3f, struct.pack('QQQ', 0xaa, 0, 0))
memory = mmap.mmap(-1, 4096)
at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
libc.ioctl(fd, 0xc020aa00, struct.pack('QQQQ', at, 4096, 1, 0))
open('${cgroup}/cgroup.procs', 'w').write(str(os.getpid()))
print('going', flush=True)
zero = os.open('/dev/zero', os.O_RDONLY)
libc.syscall(0, zero, ctypes.c_void_p(at), 4096)
`;
  const child = spawn('python3', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await new Promise((done) => child.stdout.once('data', done));
  for (let tries = 0; tries < 200 && !/^State:\tD/m.test(readFileSync(`/proc/${child.pid}/status`, 'utf8')); tries++) {
    await new Promise((done) => setTimeout(done, 20));
  }
  return child;
}

test('a container that cannot be frozen loses a device all the same, the hard way, and goes on', async () => {
  const made = await begin();
  const process = await stuck(made);
  const worker = agent();
  await serve(worker, seatOf(full), made);
  await serve(worker, seatOf(), made);
  assert.match(worker.report().problem ?? '', /the container cannot be frozen.*: it leaves when they let it go/);
  assert.equal(granted(), []);
  assert.is(readFileSync(join(made.cgroup, 'cgroup.freeze'), 'utf8'), '0\n');
  process.kill('SIGKILL');
  await new Promise((done) => process.once('close', done));
  await worker.trigger();
  assert.equal([worker.report().problem, units(worker)], [undefined, []]);
  assert.is(readFileSync(join(made.cgroup, 'cgroup.freeze'), 'utf8'), '0\n');
});

test('a container that an agent had stopped when it was killed goes on; one that its admin froze does not', async () => {
  const frozen = async (): Promise<Container> => {
    const made = await begin();
    writeFileSync(join(made.cgroup, 'cgroup.freeze'), '1');
    return made;
  };
  const [mine, admins] = [await frozen(), await frozen()];
  const worker = agent();
  mkdirSync(join(standstillOf(worker.seat), '..'), { recursive: true });
  const isStill = () => readFileSync(join(mine.cgroup, 'cgroup.freeze'), 'utf8') === '1\n';
  writeFileSync(standstillOf(worker.seat), mine.cgroup);
  // An agent that starts does this before it has a policy, and `release` does it.
  await thawAll();
  assert.equal([isStill(), existsSync(standstillOf(worker.seat))], [false, false]);
  writeFileSync(join(mine.cgroup, 'cgroup.freeze'), '1');
  writeFileSync(standstillOf(worker.seat), mine.cgroup);
  await worker.trigger();
  assert.is(isStill(), false);
  assert.not.ok(existsSync(standstillOf(worker.seat)));
  await serve(worker, seatOf(full), admins);
  await serve(worker, seatOf(), admins);
  assert.equal([worker.report().problem, units(worker)], [undefined, []]);
  assert.is(readFileSync(join(admins.cgroup, 'cgroup.freeze'), 'utf8'), '1\n');
  writeFileSync(join(admins.cgroup, 'cgroup.freeze'), '0');
});

test('who has only a name of a device open, by which nothing can be read, keeps it from nobody', async () => {
  const made = await begin();
  const worker = agent();
  await serve(worker, seatOf(full), made);
  const script = `import os, time; os.open('/dev/full', os.O_PATH); print('up', flush=True); time.sleep(600)`;
  const child = spawn('python3', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await new Promise((done) => child.stdout.once('data', done));
  await serve(worker, seatOf(), made);
  assert.equal([worker.report().problem, units(worker)], [undefined, []]);
});

test('news that cannot be told trouble nobody', async () => {
  const made = await begin();
  const sockets: number[] = [];
  const openUeventSocket = async (init: ProcessRef) => {
    const socket = await namespaces.openUeventSocket(init);
    sockets.push(socket);
    return socket;
  };
  const worker = agent({ namespaces: Object.assign(Object.create(namespaces) as Namespaces, { openUeventSocket }) });
  await serve(worker, seatOf(full), made);
  assert.is(worker.report().entries[0]?.knownTo, made.key);
  workers.delete(worker); // it has nothing left to close
  for (const socket of sockets) closeSync(socket);
  worker.tell(full.entry.syspath, { HOTPLUG: '1' });
});

test.run();
