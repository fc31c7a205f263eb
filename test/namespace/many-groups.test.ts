// A user with a range of subordinate ids can have 65,536 groups in each process, which /proc/PID/status writes out each
// time.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Follower } from '../../agent/engines/follower.js';
import { podman } from '../../agent/engines/podman.js';
import { findInit, isLingering, runs } from '../../agent/engines/process.js';
import { cgroupId, cgroupRoot } from '../../agent/kernel/cgroup.js';
import { findHolders, hasty, patient } from '../../agent/kernel/holders.js';
import { watchInits } from '../../agent/kernel/inits.js';
import { ringOwners } from '../../agent/kernel/rings.js';
import { watchThreads } from '../../agent/kernel/thread-facts.js';
import { deafMonitors } from '../../agent/seat/deaf.js';
import { removeGroups } from './remove-groups.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

const cgroup = join(cgroupRoot(), `hotseat-many-groups-${process.pid}`);
const many = 300;
const ringsAt = join(cgroupRoot(), `hotseat-many-rings-${process.pid}`);
let child: ChildProcess;

/**
 * Pid 1 of a pid namespace and a network of its own, with many processes that have many groups, one of them with a socket that
 * hears nothing of udev, and all with one that has a descriptor in a message which nobody has read.
 */
const crowd = `
import array, os, socket, sys, time
os.setgroups(range(100000, 165536))
open('/proc/self/comm', 'w').write('crowd')
reader, writer = socket.socketpair()
writer.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0]))])
for count in range(${many}):
    if os.fork() == 0:
        if count == 0:
            deaf = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
            deaf.bind((0, 0))
        time.sleep(600)
        os._exit(0)
time.sleep(1)
print('up', flush=True)
time.sleep(600)
`;

/** The same with an io_uring, which each of them has used once. */
const ringed = `
import ctypes, os, time
libc = ctypes.CDLL(None)
os.setgroups(range(100000, 165536))
for count in range(${many}):
    if os.fork() == 0:
        os.close(libc.syscall(425, 8, ctypes.create_string_buffer(120))) # io_uring_setup
        time.sleep(600)
        os._exit(0)
time.sleep(1)
print('up', flush=True)
time.sleep(600)
`;

test.before(async () => {
  mkdirSync(cgroup);
  const begin = `echo $$ > ${cgroup}/cgroup.procs && exec unshare --net --pid --fork python3 -c "$1"`;
  child = spawn('sh', ['-c', begin, 'sh', crowd], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout?.once('data', resolve));
});

test.after(async () => {
  writeFileSync(join(cgroup, 'cgroup.kill'), '1');
  await removeGroups([cgroup]);
});

/**
 * In each group of a list a process of a user's with very many groups, and below it pid 1 of a pid namespace: as a container whose
 * monitor nobody knows.
 */
const unnamed = `
import ctypes, os, sys, time
libc = ctypes.CDLL(None)
for group in sys.argv[1:]:
    if os.fork() == 0:
        with open(group + '/cgroup.procs', 'w') as procs:
            procs.write(str(os.getpid()))
        assert libc.unshare(0x20000000) == 0
        if os.fork():
            os.setgroups(range(100000, 165536))
            os.setresuid(60123, 60123, 60123)
        time.sleep(600)
        os._exit(0)
time.sleep(2)
print('up', flush=True)
time.sleep(600)
`;

/** To write all of it out takes the kernel some milliseconds for each process. */
const soon = 700;

async function timed<T>(look: () => T | Promise<T>): Promise<{ found: Awaited<T>; ms: number }> {
  const began = performance.now();
  const found = await look();
  return { found, ms: performance.now() - began };
}

test('a container whose processes have very many groups is looked at as quickly as any', async () => {
  const init = await timed(() => findInit(cgroup));
  assert.ok(init.found !== undefined);
  assert.ok(init.ms < soon, `its init: ${init.ms} ms`);
  const deaf = await timed(() => deafMonitors(init.found ?? 0, cgroup));
  assert.is(deaf.found.length, 1);
  assert.match(deaf.found[0] ?? '', /^(crowd|python3) \(pid \d+\)$/);
  assert.ok(deaf.ms < soon, `deaf processes: ${deaf.ms} ms`);
  const lingering = await timed(() => isLingering(cgroup, { key: '1:1', cgroup: '/none' }));
  assert.is(lingering.found, true);
  assert.ok(lingering.ms < soon, `who lingers: ${lingering.ms} ms`);
});

test('who looks for a daemon asks no more of processes that have its name', async () => {
  const { found, ms } = await timed(() => runs('crowd'));
  assert.is(found, false);
  assert.ok(ms < soon, `${ms} ms`);
});

test('a search for descriptors names who may have some hidden, and is not held up by their groups', async () => {
  // The program that asks for io_urings is made once.
  ringOwners();
  const limits = { ...patient, ofOne: 100 };
  const { found, ms } = await timed(() => findHolders([{ major: 1, minor: 7 }], { limits, spared: [], keepers: [] }));
  assert.ok(found.inFlight.some((one) => one.cgroup === cgroup));
  const unseen = found.unseen.filter((one) => one.cgroup === cgroup);
  assert.ok(unseen.length > 0 && unseen.every(({ uid, why }) => uid === 0 && why === 'too many'));
  assert.ok(ms < soon, `${ms} ms`);
});

test('nor by the groups of processes that have used an io_uring, which no budget of descriptors ends', async () => {
  assert.is(watchThreads(), undefined);
  mkdirSync(ringsAt);
  const begin = `echo $$ > ${ringsAt}/cgroup.procs && exec python3 -c "$1"`;
  const users = spawn('sh', ['-c', begin, 'sh', ringed], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => users.stdout?.once('data', resolve));
  try {
    // On a busy machine, the time for the whole would end it before all were named.
    const limits = { ...hasty, ms: patient.ms };
    const { found, ms } = await timed(() => findHolders([{ major: 1, minor: 7 }], { limits, spared: [], keepers: [] }));
    assert.is(found.inFlight.filter((one) => one.cgroup === ringsAt).length, many, 'all are named');
    assert.ok(ms < 3000, `${ms} ms`);
    const spared = [`hotseat-many-rings-${process.pid}`];
    const again = await timed(() => findHolders([{ major: 1, minor: 7 }], { limits, spared, keepers: [] }));
    const theirs = again.found.unseen.filter((one) => one.cgroup === ringsAt).map(({ why }) => why);
    assert.equal(theirs, ['endless'], 'none is looked at, and one is named for all');
    assert.is(again.found.inFlight.filter((one) => one.cgroup === ringsAt).length, 0);
    assert.ok(again.ms < 3000, `without a look at them: ${again.ms} ms`);
  } finally {
    writeFileSync(join(ringsAt, 'cgroup.kill'), '1');
    await removeGroups([ringsAt]);
  }
});

test('a user’s inits of whom nobody knows a monitor cost a look little, however many groups their parents have', async () => {
  assert.is(watchThreads(), undefined);
  const { ask: inits } = watchInits();
  assert.ok(inits !== undefined);
  const root = join(cgroupRoot(), `hotseat-many-monitors-${process.pid}`);
  const app = join(root, 'user.slice/user-60123.slice/user@60123.service/app.slice');
  const groups = Array.from({ length: 40 }, (_, count) => join(app, `libpod-${String(count).padStart(64, '0')}.scope`));
  for (const group of groups) mkdirSync(group, { recursive: true });
  const crowded = spawn('python3', ['-c', unnamed, ...groups], { stdio: ['ignore', 'pipe', 'inherit'] });
  const follower = new Follower(root, podman, { commandLine: async () => undefined, inits });
  follower.lookFor(new Set(['60123']));
  try {
    await new Promise((resolve) => crowded.stdout?.once('data', resolve));
    assert.is(inits().get(cgroupId(app))?.length, groups.length, 'they are inits: else this shows nothing');
    const looks: number[] = [];
    for (let look = 0; look < 5; look++) {
      const began = process.cpuUsage();
      assert.equal(follower.list(), []);
      const { user, system } = process.cpuUsage(began);
      looks.push((user + system) / 1000);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.ok(Math.min(...looks) < 100, `the looks take ${looks} ms of processor time`);
  } finally {
    follower.close();
    crowded.kill('SIGKILL');
    writeFileSync(join(root, 'cgroup.kill'), '1');
    const below = ['user.slice', 'user-60123.slice', 'user@60123.service', 'app.slice'];
    const above = below.map((_, deep) => join(root, ...below.slice(0, deep + 1)));
    await removeGroups([root, ...above, ...groups]);
  }
});

test.run();
