import { type ChildProcess, execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { alongArgument } from '../../agent/core/along.js';
import { type Deed, unrecorded } from '../../agent/core/audit.js';
import type { Happening } from '../../agent/core/happening.js';
import type { Policy } from '../../agent/core/policy.js';
import { type Touched, whole } from '../../agent/core/scope.js';
import type { Container } from '../../agent/engines/engine.js';
import { cgroupId, cgroupRoot } from '../../agent/kernel/cgroup.js';
import { DeviceMap } from '../../agent/kernel/device-map.js';
import { everyone } from '../../agent/kernel/grant-program.js';
import { compose } from '../../agent/policy/load.js';
import { SeatController } from '../../agent/seat/controller.js';
import { Grants } from '../../agent/seat/grants.js';
import { DeviceTable } from '../../agent/udev/table.js';
import { hands } from './hands.js';
import { standIn } from './stand-in.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

const root = join(cgroupRoot(), `hotseat-house-${process.pid}`);
/** Its sysfs has the devices that are plugged here. */
const sys = '/run/sys';
const table = new DeviceTable({ sys, data: '/run/udev/data' });
const { namespaces, effects } = hands();
const deeds: Deed[] = [];
const happenings: Happening[] = [];
let during: ((deed: Deed) => void) | undefined;
/** For how many units plans were made. */
const planned: number[] = [];
let map: DeviceMap;
let house: SeatController;

/** The wishes of each seat, by port; `names`: of containers, where they are not their seats'. */
function policy(
  wishes: Readonly<Record<string, readonly string[]>>,
  names: Readonly<Record<string, string>> = {},
  share = false,
): Policy {
  const texts = Object.entries(wishes).map(([seat, ports]) => ({
    name: `${seat}.yaml`,
    text: JSON.stringify({
      seat,
      container: { engine: 'lxc', name: names[seat] ?? seat },
      devices: ports.map((port) => ({ label: port, share, match: { ID_PATH: port } })),
    }),
  }));
  const loaded = compose(texts, 'unversioned', 'test');
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
  return loaded.policy;
}

/** A keyboard that only udevd's messages tell of; returns the possible changes by its last message. */
function plug(number: number, port: string, bus = 'test'): Touched {
  const head = `/sys/devices/${bus}/input/input${number}`;
  mkdirSync(join(sys, head.slice('/sys/'.length), `event${number}`), { recursive: true });
  const say = (syspath: string, more: Record<string, string>) => {
    const properties = { SUBSYSTEM: 'input', ID_INPUT: '1', ID_PATH: port, ...more };
    return house.judge(table.take({ kind: 'event', event: { action: 'add', syspath, properties, receivedNs: '0' } }));
  };
  say(head, {});
  return say(`${head}/event${number}`, {
    DEVNAME: `/dev/input/event${number}`,
    MAJOR: '13',
    MINOR: String(64 + number),
  });
}

const bound = (): string[] =>
  deeds.flatMap(({ what, seat, device }) => (what === 'bind' ? [`${basename(device ?? '')} ${seat}`] : []));

/** The entries of the map, but for the numbers that were granted at some time. */
const entries = () => map.read().filter(({ cgroup }) => cgroup !== everyone);

test.before(() => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  mkdirSync(root);
  map = DeviceMap.open({ cgroupRoot: root });
  house = new SeatController({
    ...{ log: pino({ level: 'silent' }), table, grants: new Grants(map), namespaces, effects },
    measure: (what, value) => {
      if (what === 'units') planned.push(value);
    },
    tell: (happening) => happenings.push(happening),
    audit: (deed) => {
      deeds.push(deed);
      during?.(deed);
      return () => undefined;
    },
  });
});
/** Stand-ins for containers. */
const children: ChildProcess[] = [];

async function endChildren(): Promise<void> {
  for (let child = children.pop(); child !== undefined; child = children.pop()) {
    const over = new Promise((resolve) => child?.once('close', resolve));
    child.kill('SIGKILL');
    await over;
  }
}

test.after(async () => {
  await endChildren();
  await house.close();
  namespaces.close();
  map.remove();
  map.close();
  rmdirSync(root);
});

test('what is another seat’s by now is not given, although it was planned before', async () => {
  plug(20, 'first');
  plug(21, 'second');
  await house.serve(house.adopt(policy({ left: [], right: ['first'] })));
  assert.equal(bound(), ['input20 right']);
  let moved: Promise<void> | undefined;
  during = ({ what }) => {
    if (what !== 'revoke' || moved !== undefined) return;
    // The right seat is still losing its first keyboard when the second one, promised to it, becomes the left seat's.
    moved = house.serve(house.adopt(policy({ left: ['second'], right: [] })));
  };
  await house.serve(house.adopt(policy({ left: [], right: ['second'] })));
  await moved;
  during = undefined;
  assert.equal(bound(), ['input20 right', 'input21 left']);
  assert.equal(house.assignments.holders('/sys/devices/test/input/input21'), ['left']);
});

test('what is planned for one event is one device, whatever else is plugged', async () => {
  const busOf = (number: number) => `test/usb1/1-${number}`;
  for (let number = 40; number < 60; number++) plug(number, 'many', busOf(number));
  await house.serve(house.adopt(policy({ left: ['many'], right: [] })));
  assert.is(house.assignments.holders(`/sys/devices/${busOf(59)}/input/input59`).join(), 'left');
  planned.length = 0;
  await house.serve(plug(60, 'many', busOf(60)));
  assert.equal(planned, [1]);
  assert.is(house.assignments.holders(`/sys/devices/${busOf(60)}/input/input60`).join(), 'left');
  planned.length = 0;
  await house.serve(plug(61, 'many', `${busOf(60)}/1-60:1.1`));
  assert.equal(planned, [1], 'what else is the same device is as it was');
  await house.serve(house.adopt(policy({ left: [], right: [] })));
});

test('who shares a device notices nothing when another seat loses it', async () => {
  plug(23, 'both');
  const holders = () => house.assignments.holders('/sys/devices/test/input/input23').sort();
  await house.serve(house.adopt(policy({ left: ['both'], right: ['both'] }, {}, true)));
  assert.equal(holders(), ['left', 'right']);
  deeds.length = 0;
  let meanwhile: string[] = [];
  during = ({ what }) => {
    if (what === 'revoke') meanwhile = holders();
  };
  await house.serve(house.adopt(policy({ left: ['both'], right: [] }, {}, true)));
  during = undefined;
  assert.equal(meanwhile, ['left', 'right']);
  assert.equal(holders(), ['left']);
  assert.equal(
    deeds.map(({ what, seat }) => `${what} ${seat}`),
    ['unbind right', 'revoke right'],
  );
  deeds.length = 0;
});

test('a device that was plugged again is not given before udevd has said so', async () => {
  const directory = join(sys, 'devices/test/input/input24');
  plug(24, 'first');
  renameSync(directory, join(sys, 'former'));
  mkdirSync(join(directory, 'event24'), { recursive: true });
  await house.serve(house.adopt(policy({ left: ['first'] })));
  assert.not.ok(bound().includes('input24 left'));
  plug(24, 'first');
  await house.serve(whole(['left']));
  assert.ok(bound().includes('input24 left'));
});

test('nothing stays granted to a container that is no seat’s by the time there is a policy again', async () => {
  const container = (name: string): Container => {
    const cgroup = join(root, name);
    mkdirSync(cgroup);
    const pid = process.pid;
    map.guard(cgroupId(cgroup));
    map.grant(cgroupId(cgroup), { major: 13, minor: 84 }, map.generation({ major: 13, minor: 84 }));
    return {
      ...{ engine: 'lxc', name, user: undefined, pid, key: `${name}:1`, cgroup, uid: 0, gid: 0 },
      ...{ state: 'setup', rooted: false, openable: false },
    };
  };
  const [left, right] = [container('left'), container('right')];
  house.populate([left, right]);
  house.adopt(policy({ left: [] }));
  assert.equal([...map.grants().keys()], [cgroupId(left.cgroup)]);
  house.populate([]);
  house.adopt(policy({}));
  assert.equal(entries(), []);
  for (const { cgroup } of [left, right]) rmdirSync(cgroup);
});

test('a container is guarded the moment it is seen, whatever keeps its seat busy', async () => {
  const { child, container } = await standIn(join(root, 'left'));
  children.push(child);
  plug(22, 'first');
  await house.serve(house.adopt(policy({ left: ['first'] })));
  let guarded: boolean | undefined;
  during = ({ what }) => {
    if (what !== 'revoke' || guarded !== undefined) return;
    // The seat is losing its keyboard when its container comes.
    void house.serve(house.populate([{ ...container, name: 'left' }]));
    guarded = entries().some(({ cgroup, number }) => cgroup === cgroupId(container.cgroup) && number.major === 0);
  };
  await house.serve(house.adopt(policy({ left: [] })));
  during = undefined;
  assert.is(guarded, true);
  await endChildren();
  await house.serve(house.populate([]));
  assert.equal(entries(), []);
  rmdirSync(container.cgroup);
});

test('a container that has just come is looked at again, although the clock on the wall was set meanwhile', () => {
  const came: Container = {
    ...{ engine: 'lxc', name: 'left', user: undefined, pid: 1, key: '1:1', cgroup: join(root, 'left'), uid: 0, gid: 0 },
    ...{ state: 'running', rooted: true, openable: true },
  };
  house.adopt(policy({ left: [] }));
  assert.equal([...house.populate([came]).keys()], ['left']);
  const { now } = Date;
  Date.now = () => now() + 3_600_000;
  try {
    assert.equal([...house.populate([came]).keys()], ['left']);
  } finally {
    Date.now = now;
  }
  house.populate([]);
});

test('a class that no rule leads to expect is grafted when a device of it comes', async () => {
  const { child, container } = await standIn(join(root, 'dock'));
  children.push(child);
  const isGrafted = (path: string) =>
    readFileSync(`/proc/${container.pid}/mountinfo`, 'utf8')
      .split('\n')
      .some((line) => line.split(' ')[4] === path);
  const port = 'pci-0000:00:14.0-usb-0:4';
  const text = JSON.stringify({
    seat: 'left',
    container: { engine: 'lxc', name: 'left' },
    devices: [{ label: 'the dock', match: { port } }],
  });
  const loaded = compose([{ name: 'left.yaml', text }], 'unversioned', 'test');
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
  await house.serve(house.adopt(loaded.policy));
  await house.serve(house.populate([{ ...container, name: 'left' }]));
  assert.equal(['/dev/input', '/dev/dri'].map(isGrafted), [true, false]);
  const syspath = '/sys/devices/test/1-4.2/drm/card7';
  mkdirSync(join(sys, syspath.slice('/sys/'.length)), { recursive: true });
  const properties = {
    SUBSYSTEM: 'drm',
    ID_PATH: `${port}.2:1.0`,
    DEVNAME: '/dev/dri/card7',
    MAJOR: '226',
    MINOR: '7',
  };
  const event = { action: 'add', syspath, properties, receivedNs: '0' };
  await house.serve(house.judge(table.take({ kind: 'event', event })));
  assert.ok(isGrafted('/dev/dri'));
  assert.equal(house.problems(), []);
  house.judge(table.take({ kind: 'event', event: { ...event, action: 'remove' } }));
  await endChildren();
  await house.serve(house.populate([]));
  rmdirSync(container.cgroup);
});

test('what is one physical device comes and goes together, and stays together while a part of it is bound again', async () => {
  const device = '/sys/devices/test/usb1/1-9';
  const say = (action: string, number: number, place: string, more: Record<string, string>) => {
    const syspath = `${device}/1-9:1.${place}/0003:046D:C31C.000${place}/input/input${number}`;
    mkdirSync(join(sys, syspath.slice('/sys/'.length)), { recursive: true });
    const properties = { SUBSYSTEM: 'input', ID_INPUT: '1', ID_PATH: 'nine', ...more };
    house.judge(table.take({ kind: 'event', event: { action, syspath, properties, receivedNs: '0' } }));
    return syspath;
  };
  const told: string[] = [];
  const next = new SeatController({
    ...{ log: pino({ level: 'silent' }), table, grants: new Grants(map), namespaces, effects },
    ...{ tell: () => undefined, audit: unrecorded, measure: () => undefined },
    along: (unit, verdict) => told.push(`${basename(unit.id)} ${alongArgument(unit.head, verdict)}`),
  });
  const text = (match: object) => [
    {
      name: 'left.yaml',
      text: JSON.stringify({
        seat: 'left',
        container: { engine: 'lxc', name: 'left' },
        devices: [{ label: 'x', ...match }],
      }),
    },
  ];
  const adopt = (match: object) => {
    const loaded = compose(text(match), 'unversioned', 'test');
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
    next.adopt(loaded.policy);
  };
  const ownerOf = (id: string): string | undefined => next.assignments.judged.get(id)?.kind;
  adopt({ match: { kind: 'keyboard', ID_PATH: 'nine' } });
  const keys = say('add', 31, '1', { ID_INPUT_KEY: '1' });
  next.judge(new Set([keys]));
  assert.is(ownerOf(keys), 'host', 'the keyboard has not come yet');
  const keyboard = say('add', 30, '0', { ID_INPUT_KEYBOARD: '1' });
  assert.equal([...next.judge(new Set([keyboard])).keys()], ['left']);
  assert.equal([ownerOf(keyboard), ownerOf(keys)], ['seat', 'seat']);
  assert.ok(told.includes('input31 left'), 'what udev cannot know is said');
  say('remove', 30, '0', {});
  next.judge(new Set([keyboard]));
  assert.equal([ownerOf(keyboard), ownerOf(keys)], [undefined, 'seat']);
  adopt({ match: { kind: 'keyboard', ID_PATH: 'nine' }, whole: false });
  assert.is(ownerOf(keys), 'host', 'another policy has nothing to go by');
  say('remove', 31, '1', {});
  await next.close();
});

test('two seats that change containers: neither comes into one before the other has left it', async () => {
  const containers = await Promise.all(
    ['left', 'right'].map(async (name) => {
      const { child, container } = await standIn(join(root, name));
      children.push(child);
      return { ...container, name };
    }),
  );
  const served = () => house.seats.map(({ policy: { seat }, worker }) => `${seat} ${worker.report().container?.name}`);
  await house.serve(house.adopt(policy({ left: [], right: [] })));
  await house.serve(house.populate(containers));
  assert.equal(served(), ['left left', 'right right']);
  happenings.length = 0;
  await house.serve(house.adopt(policy({ left: [], right: [] }, { left: 'right', right: 'left' })));
  const both = ['left right', 'right left'];
  for (let tries = 0; served().join() !== both.join() && tries < 100; tries++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(served(), both);
  await house.recheck();
  const told = happenings.flatMap((one) =>
    one.kind === 'container' ? [`${one.seat} ${one.state} ${one.container}`] : [],
  );
  assert.is(told.length, 4, told.join());
  assert.ok(told.indexOf('left went left') < told.indexOf('right came left'), told.join());
  assert.ok(told.indexOf('right went right') < told.indexOf('left came right'), told.join());
  assert.equal(house.problems(), []);
  assert.equal(
    new Set(entries().map(({ cgroup }) => cgroup)),
    new Set(containers.map(({ cgroup }) => cgroupId(cgroup))),
  );
  await endChildren();
  await house.serve(house.populate([]));
  assert.equal(entries(), []);
  for (const { cgroup } of containers) rmdirSync(cgroup);
});

test('a container that is another one under the same name is guarded by what it is now', () => {
  const cgroup = join(root, 'again');
  mkdirSync(cgroup);
  const grants = new Grants(map);
  grants.keep([cgroup]);
  rmdirSync(cgroup);
  mkdirSync(cgroup);
  grants.guard(cgroup);
  const ids = () => entries().map(({ cgroup: id }) => id);
  assert.equal(ids(), [cgroupId(cgroup)]);
  // Its seat has not left it yet when the next one comes.
  rmdirSync(cgroup);
  mkdirSync(cgroup);
  grants.guard(cgroup);
  const next = cgroupId(cgroup);
  assert.ok(ids().includes(cgroupId(cgroup)));
  grants.drop(cgroup, next);
  rmdirSync(cgroup);
});

test('the end of a container takes nothing from the next one of the same path, which another seat may have', () => {
  const cgroup = join(root, 'exchanged');
  mkdirSync(cgroup);
  const grants = new Grants(map);
  grants.guard(cgroup);
  const former = cgroupId(cgroup);
  rmdirSync(cgroup);
  mkdirSync(cgroup);
  grants.guard(cgroup);
  const next = cgroupId(cgroup);
  grants.reread();
  grants.grant(cgroup, { major: 1, minor: 3 }, { syspath: '/sys/devices/virtual/mem/null' });
  const before = entries().filter(({ cgroup: id }) => id === next);
  grants.drop(cgroup, former, { emptied: true });
  assert.equal(
    entries().filter(({ cgroup: id }) => id !== 0n),
    before,
  );
  grants.drop(cgroup, next, { emptied: true });
  assert.equal(entries(), []);
  rmdirSync(cgroup);
});

test('a container that ended before its seat had anything of it is not taken for the next one of the same path', () => {
  const cgroup = join(root, 'brief');
  mkdirSync(cgroup);
  const grants = new Grants(map);
  grants.guard(cgroup);
  rmdirSync(cgroup);
  mkdirSync(cgroup);
  grants.guard(cgroup);
  const id = cgroupId(cgroup);
  grants.reread();
  grants.grant(cgroup, { major: 1, minor: 3 }, { syspath: '/sys/devices/virtual/mem/null' });
  assert.equal([...map.grants().keys()], [id]);
  grants.drop(cgroup, id, { emptied: true });
  assert.equal(entries(), [], 'nor does its guard stay');
  grants.grant(cgroup, { major: 1, minor: 3 }, { syspath: '/sys/devices/virtual/mem/null' });
  const next = new Grants(map);
  next.keep([cgroup]);
  rmdirSync(cgroup);
  next.reread();
  assert.equal(entries(), [], 'nor what a former agent granted it');
});

test('a guard that has no room for the users of seats is a problem that is said, tried again, and ends nothing', async () => {
  let isFull = true;
  const grants = new Grants(map);
  grants.restrict = () => {
    if (isFull) throw new Error('the map is full');
  };
  const log = pino({ level: 'silent' });
  const own = new SeatController({
    ...{ log, table: new DeviceTable({ sys, data: '/run/udev/data' }), grants, namespaces, effects },
    ...{ audit: unrecorded, tell: () => undefined, measure: () => undefined },
  });
  own.adopt(policy({}));
  own.populate([]);
  assert.match(own.problems().join(), /the map is full/);
  isFull = false;
  own.populate([]);
  assert.not.match(own.problems().join(), /the map is full/);
  await own.close();
});

test('whom the former agent has restricted stays so until there is a policy', async () => {
  map.restrict([{ first: 4711, last: 4711 }]);
  const restricted = () => map.read().some(({ number }) => number.major === 4711);
  const log = pino({ level: 'silent' });
  const next = new SeatController({
    ...{ log, table: new DeviceTable(), grants: new Grants(map), namespaces, effects },
    ...{ tell: () => undefined, audit: unrecorded, measure: () => undefined },
  });
  next.populate([]);
  assert.ok(restricted(), 'before a policy');
  const seat = (name: string, engine: string) => ({
    name: `${name}.yaml`,
    text: JSON.stringify({ seat: name, container: { engine, name: 'left' }, devices: [] }),
  });
  const loaded = compose([seat('one', 'lxc'), seat('two', 'docker')], 'unversioned', 'test');
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
  next.adopt(loaded.policy);
  assert.not.ok(restricted(), 'no user runs a seat by this policy');
  assert.equal(next.assignments.seatsOfContainer('left', 'lxc'), ['one'], 'a start hook says whose container it is');
  assert.equal(next.assignments.seatsOfContainer('left', 'docker'), ['two']);
  assert.equal(next.assignments.seatsOfContainer('left', undefined), ['one', 'two']);
  assert.equal(next.assignments.seatsOfContainer('left', 'incus'), []);
  await next.close();
});

test.run();
