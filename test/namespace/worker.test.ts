import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Deed, unrecorded } from '../../agent/core/audit.js';
import type { DesiredSeat } from '../../agent/core/state.js';
import type { JournalEntry, NodeSpec } from '../../agent/core/step.js';
import type { Container } from '../../agent/engines/engine.js';
import { cgroupId, cgroupRoot } from '../../agent/kernel/cgroup.js';
import { DeviceMap } from '../../agent/kernel/device-map.js';
import { mountPoints } from '../../agent/kernel/mount.js';
import { noDescriptors } from '../../agent/seat/descriptors.js';
import { SeatDirectory } from '../../agent/seat/directory.js';
import { Grants } from '../../agent/seat/grants.js';
import { Journal } from '../../agent/seat/journal.js';
import { graftsOf, journalRoot } from '../../agent/seat/layout.js';
import { type SeatDeps, SeatWorker } from '../../agent/seat/worker.js';
import { hands } from './hands.js';
import { standIn } from './stand-in.js';
import { unshared } from './unshared.js';
import { wishesOf } from './wishes-of.js';

// In a mount namespace with a /run of its own, where seat directories and journals are.
unshared(import.meta.url);

// /dev/null stands in for a raw node: a number that sysfs knows by the same path.
const syspath = '/sys/devices/virtual/mem/null';
const node: NodeSpec = {
  class: 'hidraw',
  name: 'hidraw0',
  number: { major: 1, minor: 3 },
  uid: 0,
  gid: 0,
  mode: 0o660,
};
const properties = { DEVPATH: '/devices/virtual/mem/null', SUBSYSTEM: 'hidraw', DEVNAME: '/dev/hidraw0' };
const entry: JournalEntry = {
  ...{ id: 'c1:3', syspath, unit: syspath, node, tags: [], properties, rule: 'left.yaml:3' },
  ...{ hard: false, knownTo: undefined },
};
const nothing: DesiredSeat = { devices: [], unknown: [] };
const raw: DesiredSeat = {
  devices: [{ record: { id: entry.id, text: 'V:1\n', tags: [] }, links: [], entry }],
  unknown: [],
};

const root = join(cgroupRoot(), `hotseat-worker-${process.pid}`);
const { namespaces, effects } = hands();
const children: ChildProcess[] = [];
const failures: string[] = [];
const deeds: Deed[] = [];
const log = pino({ level: 'error' }, { write: (line: string) => void failures.push(line) });
let map: DeviceMap;
let runs = 0;

/** All that run. */
const containers: Container[] = [];

async function container(name = 'left'): Promise<Container> {
  const { child, container: stand } = await standIn(join(root, `payload-${++runs}`));
  const made = { ...stand, name };
  children.push(child);
  containers.push(made);
  return made;
}

const agent = (more: Partial<SeatDeps> = {}): SeatWorker =>
  new SeatWorker('left', {
    ...{ log, namespaces, tell: () => undefined, released: () => undefined, receivedNs: () => undefined },
    directory: new SeatDirectory('left'),
    journal: new Journal(journalRoot('left'), (file) => assert.unreachable(file)),
    grants: new Grants(map),
    descriptors: noDescriptors,
    present: () => false,
    mayHave: () => true,
    keepers: () => [],
    effects,
    audit: (deed) => {
      deeds.push(deed);
      return unrecorded(deed);
    },
    measure: () => undefined,
    ...more,
  });

async function serve(worker: SeatWorker, seat: DesiredSeat, to: Container | undefined): Promise<void> {
  worker.wantAll(wishesOf(seat), graftsOf(['input']));
  worker.serve(to, containers);
  await worker.trigger();
  assert.equal(failures, []);
}

async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200 && !(await check()); tries++) await new Promise((done) => setTimeout(done, 50));
}

const shownIn = ({ pid }: Container) => mountPoints(pid).filter(({ target }) => target === '/dev/hidraw0').length;
const inDev = ({ pid }: Container) => existsSync(`/proc/${pid}/root/dev/hidraw0`);

test.before(async () => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  mkdirSync(root);
  map = DeviceMap.open({ cgroupRoot: root });
  await namespaces.start();
});
test.after(async () => {
  namespaces.close();
  for (const child of children) {
    child.kill('SIGKILL');
    await new Promise((done) => child.once('close', done));
  }
  map.remove();
  map.close();
  for (; runs > 0; runs--) rmdirSync(join(root, `payload-${runs}`));
  rmdirSync(root);
});

test('a raw node is shown with its grant, told of, repaired, kept over restarts, and gone without a trace', async () => {
  const first = await container();
  let worker = agent();
  await serve(worker, raw, first);
  assert.is(shownIn(first), 1);
  assert.is(statSync(`/proc/${first.pid}/root/dev/hidraw0`).rdev, statSync('/dev/null').rdev);
  const [known] = worker.report().entries;
  assert.is(known?.knownTo, first.key);
  assert.ok(known?.placeholder !== undefined, 'what was made for it is remembered');
  assert.is(worker.report().udev, 'ours');

  execFileSync('nsenter', ['--mount', '--target', String(first.pid), '--', 'umount', '/dev/hidraw0']);
  await worker.recheck();
  assert.is(shownIn(first), 1, 'a lost one is repaired');

  await worker.close();
  worker = agent();
  await serve(worker, raw, first);
  assert.is(shownIn(first), 1, 'another agent finds it as it is');
  assert.equal(worker.report().entries[0]?.placeholder, known?.placeholder);

  const second = await container();
  containers.splice(containers.indexOf(first), 1);
  await serve(worker, raw, second);
  assert.is(shownIn(second), 1, 'in the container that took its place');
  assert.is(worker.report().entries[0]?.knownTo, second.key);

  await serve(worker, nothing, second);
  assert.is(shownIn(second), 0);
  assert.not.ok(inDev(second));
  assert.equal(worker.report().entries, []);
  assert.not.ok(existsSync('/run/hotseat/seats/left/dev/hidraw/hidraw0'));
  assert.equal(
    [...map.grants().values()].flatMap((numbers) => [...numbers.keys()]),
    [],
  );
  await worker.close();
});

/** Grafts in a container. */
const grafts = ({ pid }: Container) =>
  mountPoints(pid).filter(({ target }) => target === '/dev/input' || target === '/run/udev').length;
const guarded = ({ cgroup }: Container) => map.read().some(({ cgroup: id }) => id === cgroupId(cgroup));

/** Something is wanted for one container, and by the time it is planned the seat has another one. */
async function meanwhile(worker: SeatWorker, first: Container, then: Container): Promise<void> {
  deeds.length = 0;
  const [[unit, wish] = []] = wishesOf(raw);
  worker.wantAll(
    new Map([
      [
        unit ?? '',
        (accounts) => {
          worker.serve(then, containers);
          return wish?.(accounts) ?? nothing;
        },
      ],
    ]),
    graftsOf(['input']),
  );
  worker.serve(first, containers);
  await worker.trigger();
}

test('what is given is given to the container that must have it by then', async () => {
  const [first, second] = [await container('first'), await container('second')];
  const worker = agent();
  await meanwhile(worker, first, second);
  assert.equal(deeds, []);
  await serve(worker, raw, second);
  assert.is(shownIn(first), 0);
  assert.is(shownIn(second), 1);
  await serve(worker, nothing, undefined);
  await worker.close();
});

test('nothing is given to a container of which nobody can tell by then who it is', async () => {
  const first = await container();
  const worker = agent();
  await meanwhile(worker, first, { ...first, state: 'unclear' });
  assert.equal(deeds, []);
  await serve(worker, raw, first);
  assert.is(shownIn(first), 1, 'until that is known again');
  await serve(worker, nothing, undefined);
  await worker.close();
});

/** Netlink groups of uevents: the kernel's messages, and udevd's (systemd, sd-device's device-monitor.c). */
const [kernelsGroup, udevdsGroup] = [1, 2];

/** An ear in a container's network namespace. */
async function listen({ pid }: Container, group: number): Promise<{ heard: string }> {
  const script = `
import socket
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
s.bind((0, ${group}))
print('listening')
while True: print(s.recv(4096))
`;
  const child = spawn('nsenter', ['--net', '--target', String(pid), '--', 'python3', '-uc', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const ear = { heard: '' };
  child.stdout.on('data', (data) => (ear.heard += String(data)));
  await until(() => ear.heard !== '');
  return ear;
}

for (const again of [false, true]) {
  const when = again ? 'while no agent ran' : 'while the agent ran';
  test(`a container that runs on, and ceased to be the seat’s ${when}, is told and has nothing left`, async () => {
    const [first, second] = [await container('first'), await container('second')];
    let worker = agent();
    await serve(worker, raw, first);
    const ear = await listen(first, udevdsGroup);
    assert.is(grafts(first), 2);
    assert.is(shownIn(first), 1);
    if (again) {
      await worker.close();
      worker = agent();
    }
    deeds.length = 0;
    await serve(worker, raw, second);
    assert.equal(
      deeds.map(({ what, container: name }) => `${what} ${name}`),
      ['unbind first', 'bind second'],
    );
    await until(() => ear.heard.includes('ACTION=remove'));
    assert.match(ear.heard, /DEVNAME=\/dev\/hidraw0.*ACTION=remove/);
    assert.is(grafts(first), 0);
    assert.is(shownIn(first), 0);
    assert.not.ok(guarded(first));
    assert.is(shownIn(second), 1);
    assert.ok(guarded(second));
    // And of a seat that the policy drops.
    deeds.length = 0;
    await serve(worker, nothing, undefined);
    assert.equal(
      deeds.map(({ what, container: name }) => `${what} ${name}`),
      ['unbind second'],
    );
    assert.is(grafts(second), 0);
    assert.not.ok(guarded(second));
    assert.equal(worker.report().entries, []);
    await worker.close();
  });
}

test('a udevd that somebody starts later gets its database back, and is told of everything as by the kernel', async () => {
  const made = await container();
  const worker = agent();
  await serve(worker, raw, made);
  const ear = await listen(made, kernelsGroup);
  const udevMounts = () => mountPoints(made.pid).filter(({ target }) => target === '/run/udev').length;
  assert.is(udevMounts(), 1);
  const program = '/run/bin/systemd-udevd';
  mkdirSync('/run/bin', { recursive: true });
  copyFileSync('/bin/sleep', program);
  const enter = `echo $$ > ${made.cgroup}/cgroup.procs && exec ${program} 600`;
  children.push(spawn('sh', ['-c', enter], { stdio: 'ignore' }));
  await until(async () => {
    await worker.recheck();
    return worker.report().udev === 'own';
  });
  assert.is(worker.report().udev, 'own');
  assert.is(udevMounts(), 0);
  assert.is(shownIn(made), 1);
  await until(() => ear.heard.includes('null'));
  const message = /add@\/devices\/virtual\/mem\/null.*SUBSYSTEM=hidraw.*DEVNAME=hidraw0/g;
  assert.is([...ear.heard.matchAll(message)].length, 1, ear.heard);
  await worker.recheck();
  await serve(worker, nothing, made);
  await until(() => ear.heard.includes('remove@'));
  assert.match(ear.heard, /remove@\/devices\/virtual\/mem\/null/);
  assert.is([...ear.heard.matchAll(message)].length, 1, 'once');
  await worker.close();
});

test('a container in whose /dev nothing can be made has everything else, and the reason is said', async () => {
  const made = await container();
  writeFileSync(`/proc/${made.pid}/root/dev/x`, '');
  execFileSync('nsenter', [
    '--mount',
    '--target',
    String(made.pid),
    '--',
    'sh',
    '-c',
    'mkdir /dev/input && mount -o remount,ro /dev',
  ]);
  const worker = agent();
  worker.wantAll(wishesOf(raw), graftsOf(['input']));
  worker.serve(made, containers);
  await worker.trigger();
  assert.match(worker.report().problem ?? '', /hidraw0: EROFS/);
  assert.ok(mountPoints(made.pid).some(({ target }) => target === '/dev/input'));
  failures.length = 0;
  await serve(worker, nothing, made);
  assert.equal(worker.report().entries, []);
  await worker.close();
});

test('a container is opened when it came and when another major is guarded, and not for each device', async () => {
  const made = await container();
  let opened = 0;
  class Counting extends Grants {
    override open(...asked: Parameters<Grants['open']>): void {
      opened += 1;
      super.open(...asked);
    }
  }
  const grants = new Counting(map);
  const worker = agent({ grants });
  const [[unit] = ['']] = wishesOf(raw);
  await serve(worker, nothing, made);
  assert.ok(opened > 0);
  opened = 0;
  await worker.trigger(new Set([unit]));
  assert.is(opened, 0);
  grants.cover(509);
  await worker.trigger(new Set([unit]));
  assert.is(opened, 1);
  await serve(worker, nothing, undefined);
  await worker.close();
});

test.run();
