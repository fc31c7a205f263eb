// Root of a container can make groups below its own, and go where nobody lists it: behind very many, or too far down for any path.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engines } from '../../agent/engines/all.js';
import { Follower } from '../../agent/engines/follower.js';
import { lxc } from '../../agent/engines/lxc.js';
import { cgroupId, cgroupRoot } from '../../agent/kernel/cgroup.js';
import { DeviceMap } from '../../agent/kernel/device-map.js';
import { watchInits } from '../../agent/kernel/inits.js';
import { compose } from '../../agent/policy/load.js';
import { runningContainers } from '../../agent/release.js';
import { SeatController } from '../../agent/seat/controller.js';
import { Grants } from '../../agent/seat/grants.js';
import { DeviceTable } from '../../agent/udev/table.js';
import { childrenOf } from './children-of.js';
import { removeGroups } from './remove-groups.js';
import { unshared } from './unshared.js';
import { until } from './until.js';

unshared(import.meta.url);

const root = join(cgroupRoot(), `hotseat-hidden-${process.pid}`);
const cgroup = join(root, 'lxc.payload.left');
const commandLine = (): Promise<string> => Promise.resolve('');
let monitor: ChildProcess;
let init = 0;

const program = `import ctypes, os, sys
sys.stdin.readline()
ctypes.CDLL(None).unshare(0x20000000)
if os.fork() == 0:
    os.chroot('/usr')
    os.execv('/bin/sleep', ['sleep', '600'])
os.wait()`;

/** The containers that a starting agent finds, and its complaint. */
function found(known?: Follower['knows']): [names: string[], problem: string | undefined] {
  const follower = new Follower(root, lxc, known === undefined ? { commandLine } : { commandLine, known });
  try {
    return [follower.list().map(({ name, state }) => `${name} ${state}`), follower.problem];
  } finally {
    follower.close();
  }
}

const moveInit = (group: string): void => writeFileSync(join(group, 'cgroup.procs'), String(init));

test.before(async () => {
  for (const group of [root, cgroup]) mkdirSync(group);
  monitor = spawn('python3', ['-c', program], {
    argv0: '[lxc monitor] /var/lib/lxc left',
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  writeFileSync(join(cgroup, 'cgroup.procs'), String(monitor.pid));
  monitor.stdin?.write('\n');
  await until('the container', () => found()[0].join() === 'left running');
  init = childrenOf(monitor.pid)[0] ?? 0;
});
test.after(async () => {
  writeFileSync(join(root, 'cgroup.kill'), '1');
  await removeGroups([root, cgroup]);
});

/** An agent that knew it before knows it still, and so does the next one; a first one says that it cannot tell. */
function isKnown(hide: () => void): void {
  const follower = new Follower(root, lxc, { commandLine });
  follower.list();
  hide();
  assert.equal(
    follower.list().map(({ name }) => name),
    ['left'],
  );
  assert.equal(found(follower.knows)[0], ['left running'], 'the next agent');
  assert.match(found()[1] ?? '', /which of them is its init cannot be told/, 'a first agent');
  follower.close();
}

/** Has the init go behind very many groups, until a first agent does not find it; then acts, and brings it back. */
async function hidden(act: () => void | Promise<void>): Promise<void> {
  const groups = Array.from({ length: 1100 }, (_, index) => join(cgroup, `group-${index}`));
  for (const group of groups) mkdirSync(group);
  try {
    // One of them is listed last.
    for (const group of groups) {
      moveInit(group);
      if (found()[0].length === 0) break;
    }
    await act();
  } finally {
    moveInit(cgroup);
    for (const group of groups) rmdirSync(group);
  }
}

/** Whether a process in the container can open a memory device, which stands in for an input device. */
function opens(): boolean {
  const device = `/tmp/hotseat-hidden-${process.pid}`;
  rmSync(device, { force: true });
  execFileSync('mknod', [device, 'c', '1', '3']);
  const { status } = spawnSync('sh', ['-c', `echo $$ > ${cgroup}/cgroup.procs && exec 3<${device}`]);
  rmSync(device);
  return status === 0;
}

const timed = (act: () => void): number => {
  const began = performance.now();
  act();
  return performance.now() - began;
};

test('of whom nobody can tell who it is, is guarded until it can be told, and looked for now and then only', async () => {
  let follower = new Follower(root, lxc, { commandLine });
  const map = DeviceMap.open({ cgroupRoot: cgroupRoot(), majors: [1] });
  const unreachable = [join(cgroup, 'deep/'.repeat(1000))];
  const nothing = { namespaces: {} as never, effects: {} as never, tell: () => undefined };
  const controller = new SeatController({
    ...{ log: pino({ level: 'silent' }), table: new DeviceTable(), grants: new Grants(map), ...nothing },
    ...{ audit: () => () => undefined, measure: () => undefined, untold: () => [...unreachable, ...follower.untold] },
  });
  const texts = [{ name: 'right.yaml', text: 'seat: right\ncontainer: { engine: lxc, name: right }\ndevices: []\n' }];
  const loaded = compose(texts, 'unversioned', 'test');
  assert.ok(loaded.ok);
  try {
    if (loaded.ok) controller.assignments.setPolicy(loaded.policy);
    await hidden(() => {
      controller.populate(follower.list());
      assert.equal(follower.untold, [cgroup]);
      assert.match(follower.problem ?? '', /cannot be looked at now, and is guarded: /);
      assert.not.ok(opens(), 'nobody granted it anything');
      const [problem] = controller.problems();
      assert.match(problem ?? '', /^the guard of .*deep\/, which nobody knows, cannot be changed: .*ENAMETOOLONG/);
      const again = timed(() => follower.list());
      assert.ok(again < 50, `another look takes ${again} ms`);
    });
    // The next look may be a while away.
    follower.close();
    follower = new Follower(root, lxc, { commandLine });
    unreachable.length = 0;
    controller.populate(follower.list());
    assert.equal(controller.problems(), []);
    assert.equal([follower.untold, opens()], [[], true], 'it is no seat’s');
  } finally {
    await controller.close();
    follower.close();
    map.remove();
    map.close();
  }
});

test('where the kernel tells of all inits, one that is hidden is known at once', async () => {
  const { ask: inits } = watchInits();
  assert.ok(inits !== undefined);
  const follower = new Follower(root, lxc, { commandLine, inits });
  try {
    await hidden(() => {
      const ms = timed(() => follower.list());
      console.log(`a look with the help of the kernel took ${ms.toFixed(1)} ms`);
      assert.equal(
        follower.list().map(({ name, state, pid }) => `${name} ${state} ${pid}`),
        [`left running ${init}`],
      );
      assert.equal([follower.problem, follower.untold], [undefined, []]);
      assert.ok(ms < 50, `${ms} ms`);
    });
  } finally {
    follower.close();
  }
});

test('inits that have ended and that nobody reaps are not told of', async () => {
  const { ask: inits } = watchInits();
  assert.ok(inits !== undefined);
  const script = `import ctypes, os, sys, time
sys.stdin.readline()
libc = ctypes.CDLL(None)
own = os.open('/proc/self/ns/pid', os.O_RDONLY)
for _ in range(300):
    libc.unshare(0x20000000)
    if os.fork() == 0: os._exit(0)
    libc.setns(own, 0x20000000)
time.sleep(0.2)
print('up', flush=True)
time.sleep(600)`;
  const parent = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  writeFileSync(join(cgroup, 'cgroup.procs'), String(parent.pid));
  parent.stdin.write('\n');
  await once(parent.stdout, 'data');
  try {
    assert.is(childrenOf(parent.pid).length, 300);
    assert.equal(
      inits()
        .get(cgroupId(cgroup))
        ?.map(({ pid }) => pid),
      [init],
    );
  } finally {
    parent.kill('SIGKILL');
  }
});

test('and of very many that have ended since it was told, not all are tried: nobody can tell who it is', () => {
  const { pid: ended } = spawnSync('true');
  const told = Array.from({ length: 1000 }, (_, start) => ({ pid: ended, depth: 1, start: BigInt(start) }));
  const inits = () => new Map([[cgroupId(cgroup), told]]);
  const follower = new Follower(root, lxc, { commandLine, inits });
  try {
    assert.equal(follower.list(), []);
    assert.equal(follower.untold, [cgroup]);
    assert.match(follower.problem ?? '', /is guarded: over 200 inits have ended meanwhile/);
  } finally {
    follower.close();
  }
});

test('the kernel is asked once for all engines and groups of a look, also when it cannot tell', () => {
  const machines = join(root, 'machine.slice');
  const groups = ['a', 'b'].map((digit) => join(machines, `libpod-${digit.repeat(64)}.scope`));
  for (const group of [machines, ...groups]) mkdirSync(group);
  let asked = 0;
  let fails = false;
  const inits = () => {
    asked += 1;
    if (fails) throw new Error('there are too many pid namespaces');
    return new Map([[cgroupId(cgroup), [{ pid: init, depth: 1, start: 0n }]]]);
  };
  const engines = new Engines(root, { commandLine, inits });
  try {
    assert.equal(
      engines.list().map(({ name }) => name),
      ['left'],
    );
    assert.is(asked, 1);
    fails = true;
    engines.list();
    assert.is(asked, 2);
    fails = false;
    assert.is(engines.list().length, 1);
    assert.is(asked, 3, 'the next look asks again');
  } finally {
    engines.close();
    for (const group of [...groups, machines]) rmdirSync(group);
  }
});

test('a container whose init is behind very many groups has not gone, also for an agent that starts', () => {
  const groups = Array.from({ length: 1100 }, (_, index) => join(cgroup, `group-${index}`));
  for (const group of groups) mkdirSync(group);
  try {
    // One of them is listed last.
    isKnown(() => {
      for (const group of groups) {
        moveInit(group);
        if (found()[0].length === 0) break;
      }
    });
  } finally {
    moveInit(cgroup);
    for (const group of groups) rmdirSync(group);
  }
});

test('nor has one whose init is so deep that there is no path to it', () => {
  const name = 'd'.repeat(250);
  const deep = 17;
  process.chdir(cgroup);
  for (let level = 0; level < deep; level++) {
    mkdirSync(name);
    process.chdir(name);
  }
  try {
    isKnown(() => writeFileSync('cgroup.procs', String(init)));
  } finally {
    moveInit(cgroup);
    for (let level = 0; level < deep; level++) {
      process.chdir('..');
      rmdirSync(name);
    }
    process.chdir('/');
  }
});

test('release finds it as well, and takes back what it has', () =>
  hidden(async () => {
    const names = (await runningContainers(root)).map(({ name, state, pid }) => `${name} ${state} ${pid}`);
    assert.equal(names, [`left running ${init}`]);
  }));

test.run();
