import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as bpf from '../../agent/kernel/bpf.js';
import { Assembler } from '../../agent/kernel/bpf-asm.js';
import { cgroupId, cgroupRoot } from '../../agent/kernel/cgroup.js';
import { DeviceMap } from '../../agent/kernel/device-map.js';
import { openAt } from '../../agent/kernel/fs.js';
import { everyone } from '../../agent/kernel/grant-program.js';
import { ensureOpener } from '../../agent/kernel/opener.js';
import { DeviceGone, Grants } from '../../agent/seat/grants.js';

// Memory devices (major 1) stand in for input devices: they exist on every machine, and /dev/null opens when allowed.
const majors = [1];
const nul = { major: 1, minor: 3 };
const zero = { major: 1, minor: 5 };
const root = cgroupRoot();
const group = join(root, `hotseat-test-${process.pid}`);
const below = join(group, 'init.scope');

/** Whether a process in a cgroup can open a device node of its own making. */
function opens(cgroup: string, { minor }: { minor: number }): boolean {
  const node = `/tmp/hotseat-node-${process.pid}-${minor}`;
  rmSync(node, { force: true });
  execFileSync('mknod', [node, 'c', '1', String(minor)]);
  const script = `echo $$ > ${cgroup}/cgroup.procs && exec 3<${node}`;
  const { status } = spawnSync('sh', ['-c', script]);
  rmSync(node);
  return status === 0;
}

let map: DeviceMap;
/** The entries of the map, but for the numbers that were granted at some time. */
const entries = () => map.read().filter(({ cgroup }) => cgroup !== everyone);
test.before(() => {
  mkdirSync(below, { recursive: true });
  map = DeviceMap.open({ cgroupRoot: root, majors });
});
test.after(() => {
  map.remove();
  map.close();
  rmdirSync(below);
  rmdirSync(group);
});

test('a container that is not guarded opens what its engine allows', () => {
  assert.ok(opens(below, nul));
});

test('a guarded container opens nothing without a grant, not even in a group of its own', () => {
  map.guard(cgroupId(group));
  assert.not.ok(opens(group, nul));
  assert.not.ok(opens(below, nul));
  assert.ok(opens(root, nul), 'the host is not affected');
});

test('a grant opens exactly one number', () => {
  map.grant(cgroupId(group), nul, map.generation(nul));
  assert.ok(opens(below, nul));
  assert.not.ok(opens(below, zero));
  assert.equal([...(map.grants().get(cgroupId(group)) ?? [])], [['1:3', true]]);
});

test('a grant of a former generation is void: the minor was reused', () => {
  const generation = map.generation(zero);
  map.grant(cgroupId(group), zero, generation + 1n);
  assert.not.ok(opens(below, zero));
  assert.is(map.grants().get(cgroupId(group))?.get('1:5'), false);
});

test('a denied number is closed, and leaves nothing in the map', () => {
  map.deny(cgroupId(group), zero);
  map.deny(cgroupId(group), nul);
  assert.not.ok(opens(below, nul));
  assert.is(entries().length, 1, 'the guard entry alone');
});

test('a device that went before it was granted leaves nothing in the map', () => {
  const grants = new Grants(map);
  assert.throws(
    () => grants.grant(group, nul, { syspath: '/sys/devices/virtual/mem/gone' }),
    (error: unknown) => error instanceof DeviceGone,
  );
  assert.throws(
    () => grants.grant(group, nul, { syspath: '/sys/devices/virtual/mem/null', incarnation: 'former' }),
    (error: unknown) => error instanceof DeviceGone,
  );
  assert.is(entries().length, 1, 'the guard entry alone');
});

test('what was voided by the kernel is still known, so that it can be denied', () => {
  const grants = new Grants(map);
  grants.grant(group, nul, { syspath: '/sys/devices/virtual/mem/null' });
  assert.equal([...grants.of(group)], [['1:3', true]]);
  map.grant(0n, nul, map.generation(nul) + 1n); // as the withdrawing program does in the kernel
  grants.reread();
  assert.equal([...grants.of(group)], [['1:3', false]]);
  grants.deny(group, nul);
  assert.is(entries().length, 1, 'the guard entry alone');
});

test('another agent finds guard and map as they are', () => {
  map.grant(cgroupId(group), nul, map.generation(nul));
  const other = DeviceMap.open({ cgroupRoot: root, majors });
  assert.equal(other.grants(), map.grants());
  other.close();
  assert.ok(opens(below, nul));
  const directory = openAt(undefined, root);
  const names = bpf.attached(directory).ids.map((id) => {
    const fd = bpf.programById(id);
    const { name } = bpf.programInfo(fd);
    closeSync(fd);
    return name;
  });
  closeSync(directory);
  assert.is(names.filter((name) => name === 'hotseat_guard').length, 1, 'one guard, not two');
});

test("what the engine's own program denies is opened by grant alone, and its other rules stay in force", () => {
  const directory = openAt(undefined, group);
  // An engine that allows /dev/zero (1:5) and nothing else.
  const engine = new Assembler()
    .load32(2, 1, 8)
    .set(0, 0)
    .ifNotEqual(2, 5, 'end')
    .set(0, 1)
    .label('end')
    .exit()
    .build();
  const program = bpf.load(bpf.programType.cgroupDevice, 'engine', engine);
  bpf.attach(directory, program);
  closeSync(program);
  assert.not.ok(opens(below, nul), 'granted, but the engine says no');
  assert.ok(ensureOpener(map, group));
  assert.ok(opens(below, nul));
  assert.not.ok(opens(below, zero), 'the engine says yes, but it is not granted');
  assert.not.ok(ensureOpener(map, group), 'a second time there is nothing to do');
  assert.is(bpf.attached(directory).ids.length, 1);
  closeSync(directory);
});

test('no door is opened by the pid of an init that has ended, which another process may have by now', () => {
  const init = { pid: process.pid, key: `${process.pid}:1` };
  assert.throws(() => new Grants(map).open(group, init), /^process \d+ has ended$/);
});

test('what is purged is gone: cgroups that no longer live', () => {
  map.purge(new Set());
  assert.equal(entries(), []);
  assert.ok(opens(below, zero), 'no longer guarded: the engine alone decides');
});

test('of groups that nobody knows, one that cannot be guarded does not count as guarded, and is tried again', () => {
  const top = join(root, `hotseat-room-${process.pid}`);
  const [one, two] = [join(top, 'one'), join(top, 'two')];
  for (const directory of [top, one, two]) mkdirSync(directory);
  const small = DeviceMap.open({ cgroupRoot: top, majors, entries: 1 });
  try {
    const grants = new Grants(small);
    const failed = grants.confine([one, two], []);
    assert.equal([...failed.keys()], [two]);
    assert.match(failed.get(two)?.message ?? '', /the map of grants is full/);
    assert.equal([opens(one, nul), opens(two, nul)], [false, true]);
    assert.equal([...grants.confine([two], []).keys()], [two], 'room is made for the next look');
    assert.equal([...grants.confine([two], []).keys()], []);
    assert.equal([opens(one, nul), opens(two, nul)], [true, false]);
  } finally {
    small.remove();
    small.close();
    for (const directory of [one, two, top]) rmdirSync(directory);
  }
});

test.run();
