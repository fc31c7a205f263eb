import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dialects, Engines } from '../../agent/engines/all.js';
import { Follower } from '../../agent/engines/follower.js';
import { cgroupId, cgroupRoot, devicesRootV1, isPopulated } from '../../agent/kernel/cgroup.js';
import { DeviceMap } from '../../agent/kernel/device-map.js';
import { DevicesV1 } from '../../agent/kernel/devices-v1.js';
import { Grants } from '../../agent/seat/grants.js';
import { refTo } from './ref-to.js';
import { unshared } from './unshared.js';

// The real controller, which any kernel mounts that was built with it, beside all other cgroups. Memory devices stand
// in for input devices: /dev/null opens when allowed.
unshared(import.meta.url);

const nul = { major: 1, minor: 3 };
const zero = { major: 1, minor: 5 };
const syspath = '/sys/devices/virtual/mem/null';
const name = `lxc.payload.hotseat-${process.pid}`;
const engine = ['c 1:5 rwm', 'c 5:* rwm'];
const mounted = devicesRootV1();
const root = mounted ?? mkdtempSync('/tmp/hotseat-devices-');
const group = join(root, name);
const unified = join(cgroupRoot(), name);
let init: ChildProcess;
let map: DeviceMap;

const rules = (at: string): string[] => readFileSync(join(at, 'devices.list'), 'utf8').trim().split('\n');

/** Whether a process in the container opens a device node that the host made. */
function opens({ minor }: { minor: number }, at = group): boolean {
  const node = `/tmp/hotseat-v1-${process.pid}-${minor}`;
  rmSync(node, { force: true });
  execFileSync('mknod', [node, 'c', '1', String(minor)]);
  const enter = `echo $$ > ${unified}/cgroup.procs && echo $$ > ${at}/cgroup.procs && exec 3<${node}`;
  const { status } = spawnSync('sh', ['-c', enter], { stdio: 'ignore' });
  rmSync(node);
  return status === 0;
}

async function startIn(...groups: readonly string[]): Promise<ChildProcess> {
  const enter = groups.map((at) => `echo $$ > ${at}/cgroup.procs`).join(' && ');
  const script = `${enter} && echo in && exec unshare --pid --fork --kill-child cat`;
  const child = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.stdin?.end();
  await ended;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test.before(async () => {
  if (mounted === undefined) execFileSync('mount', ['-t', 'cgroup', '-o', 'devices', 'cgroup', root]);
  for (const at of [group, unified]) mkdirSync(at);
  writeFileSync(join(group, 'devices.deny'), 'a');
  for (const rule of engine) writeFileSync(join(group, 'devices.allow'), rule);
  init = await startIn(unified, group);
  map = DeviceMap.open({ cgroupRoot: cgroupRoot(), majors: [1] });
});
test.after(async () => {
  map.remove();
  map.close();
  for (const at of [group, unified]) rmdirSync(at);
  if (mounted !== undefined) return;
  execFileSync('umount', [root]);
  rmdirSync(root);
});

const grants = (): Grants => new Grants(map, DevicesV1.find(cgroupRoot()));
const open = (its: Grants, { pid } = init): void => its.open(unified, refTo(pid));

test("what is granted opens: the guard lets it through, and the engine's rules as well", () => {
  assert.not.ok(opens(nul), 'its engine denies nothing: this shows nothing');
  const its = grants();
  its.guard(unified);
  open(its);
  its.grant(unified, nul, { syspath });
  assert.equal(rules(group), [...engine, 'c 1:3 rwm']);
  assert.ok(opens(nul));
  assert.not.ok(opens(zero), 'its engine allows it, but it is not granted');
});

test('a group of the container itself, made before, is opened as well, and what was taken back comes again', () => {
  const below = join(group, 'below');
  const its = grants();
  its.deny(unified, nul);
  assert.equal(rules(group), engine);
  mkdirSync(below);
  its.grant(unified, nul, { syspath });
  assert.ok(opens(nul, below));
  writeFileSync(join(group, 'devices.deny'), 'c 1:3 rwm');
  assert.not.ok(opens(nul, below));
  open(its);
  assert.ok(opens(nul, below));
  its.deny(unified, nul);
  for (const at of [group, below]) assert.equal(rules(at), engine);
  rmdirSync(below);
});

test('what is void is denied when an agent starts, the rest is not, nor what the engine allows', () => {
  const its = grants();
  its.grant(unified, nul, { syspath });
  grants().keep([unified]);
  assert.equal(rules(group), [...engine, 'c 1:3 rwm']);
  map.grant(0n, nul, map.generation(nul) + 1n); // as the withdrawing program does in the kernel
  grants().keep([unified]);
  assert.equal(rules(group), engine);
  assert.equal([...grants().of(unified)], []);
});

test('what a container had whose seat went while no agent ran is denied as well', () => {
  const before = grants();
  before.guard(unified);
  before.grant(unified, nul, { syspath });
  const its = grants();
  its.keep([unified]);
  assert.equal(rules(group), [...engine, 'c 1:3 rwm']);
  its.keep([]);
  assert.equal(rules(group), engine);
});

test('a group above that denies is not widened: that is said', () => {
  const above = join(group, 'above');
  mkdirSync(join(above, 'own'), { recursive: true });
  const v1 = new DevicesV1(join(cgroupRoot(), name), join(group));
  assert.throws(() => v1.allow(join(cgroupRoot(), name, 'above/own'), nul), /own cannot be opened for "c 1:3 rwm"/);
  for (const at of [join(above, 'own'), above]) rmdirSync(at);
});

test("rules that are not the container's own are not widened, and that is said", async () => {
  const service = join(root, `hotseat-service-${process.pid}`);
  mkdirSync(service);
  writeFileSync(join(service, 'devices.deny'), 'a');
  const stray = await startIn(unified, service);
  assert.throws(
    () => open(grants(), stray),
    /the container has no group of its own in .*, and .*hotseat-service-\d+ is not its alone/,
  );
  assert.equal(rules(service), ['']);
  writeFileSync(join(service, 'devices.allow'), 'a');
  assert.not.throws(() => open(grants(), stray), 'nothing is denied there');
  await stop(stray);
  rmdirSync(service);
});

test('a container that is gone leaves no rule in a group that stays', async () => {
  const its = grants();
  its.guard(unified);
  its.grant(unified, nul, { syspath });
  its.drop(unified, cgroupId(unified));
  assert.equal(rules(group), engine);
  await stop(init);
});

test('a container that has a group in v1 alone is known, and what to do about it is said', async () => {
  const ref = { engine: 'lxc', name: name.replace('lxc.payload.', '') } as const;
  const engines = new Engines(cgroupRoot(), { commandLine: async () => undefined });
  engines.list();
  assert.match(engines.absence(ref), /not installed|is running/);
  const stray = await startIn(group);
  // Its init is not there yet when the process that makes it is.
  for (let left = 100; left > 0 && !/no cgroup of its own/.test(engines.absence(ref)); left--) await pause(50);
  assert.match(
    engines.absence(ref),
    /its container has no cgroup of its own in .*, where grants hang: boot with systemd\.unified_cgroup_hierarchy=1/,
  );
  await stop(stray);
  engines.close();
});

test('a container of a user is refused, because the user can leave the groups that rules of v1 go by', async () => {
  const top = join(cgroupRoot(), `hotseat-user-${process.pid}`);
  const path = ['user.slice', 'user-65534.slice', 'user@65534.service', 'x.scope', 'lxc.payload.mine'];
  const groups = [top, ...path.map((_name, depth) => join(top, ...path.slice(0, depth + 1)))];
  for (const at of groups) mkdirSync(at);
  const own = await startIn(join(top, ...path));
  const engines = new Engines(top, { commandLine: async () => undefined });
  const follower = new Follower(top, dialects.lxc, { commandLine: async () => undefined });
  for (let left = 100; left > 0 && follower.list().length === 0; left--) await pause(50);
  const [seen] = follower.list();
  assert.is(seen?.name, 'mine', 'else this shows nothing');
  assert.equal(await engines.listAll(), []);
  assert.match(
    engines.absence({ engine: 'lxc', name: 'mine', user: seen?.user ?? '' }),
    /^containers of users are refused while cgroups v1 .*: boot with systemd\.unified_cgroup_hierarchy=1$/,
  );
  follower.close();
  engines.close();
  await stop(own);
  for (let left = 100; left > 0 && isPopulated(top); left--) await pause(50);
  for (const at of groups.reverse()) rmdirSync(at);
});

test.run();
