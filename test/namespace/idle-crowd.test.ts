// A user has very many processes that do nothing, or very many descriptors of nothing. Nobody stands still because of that.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { NodeRef } from '../../agent/core/step.js';
import { cgroupRoot, ownerOf } from '../../agent/kernel/cgroup.js';
import { findHolders, hasty, patient, type Unseen } from '../../agent/kernel/holders.js';
import { watchFiles, whoMayHave } from '../../agent/kernel/open-files.js';
import { countsUnaccepted, hasUnaccepted } from '../../agent/kernel/queued.js';
import { hands } from './hands.js';
import { removeGroups } from './remove-groups.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

const many = 3000;
const crowdAt = join(cgroupRoot(), `hotseat-crowd-${process.pid}`);
const queuedAt = join(cgroupRoot(), `hotseat-queued-${process.pid}`);
const still = join(cgroupRoot(), `hotseat-still-${process.pid}`);
const full = { major: 1, minor: 7 };
const atOnce = { ms: 10_000, sign: () => undefined };
const node: NodeRef = { class: 'input', name: 'event7', number: full };
const { namespaces, effects } = hands();
const children: ChildProcess[] = [];

/** Runs a Python program in a group until the end of the test. Returns its pid. */
async function run(group: string, program: string): Promise<number> {
  const text = `import os, sys, time\nsys.stdin.readline()\n${program}\nprint('up', flush=True)\ntime.sleep(600)`;
  const child = spawn('python3', ['-c', text], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  writeFileSync(join(group, 'cgroup.procs'), String(child.pid));
  child.stdin.write('\n');
  await once(child.stdout, 'data');
  return child.pid ?? 0;
}

test.before(async () => {
  for (const group of [crowdAt, queuedAt, still]) mkdirSync(group);
  await run(
    crowdAt,
    `os.setgid(4242)\nos.setuid(4242)\nfor count in range(${many}):\n    if os.fork() == 0:\n        time.sleep(600)`,
  );
  await namespaces.start();
});
test.after(async () => {
  namespaces.close();
  for (const group of [crowdAt, queuedAt, still]) writeFileSync(join(group, 'cgroup.kill'), '1');
  await removeGroups([crowdAt, queuedAt, still]);
});

/** For how long a container stands still while a device is taken from it, ms, and what came of it. */
async function revoked(): Promise<{ frozenMs: number; found: Awaited<ReturnType<typeof effects.revoke>> }> {
  const mark = join(mkdtempSync(join(tmpdir(), 'hotseat-crowd-')), 'standstill');
  let [frozenMs, last] = [0, performance.now()];
  const beat = setInterval(() => {
    const now = performance.now();
    if (/^frozen 1$/m.test(readFileSync(join(still, 'cgroup.events'), 'utf8'))) frozenMs += now - last;
    last = now;
  }, 2);
  try {
    const found = await effects.revoke([node], { cgroup: still, users: [], keepers: [], mark });
    return { frozenMs, found };
  } finally {
    clearInterval(beat);
  }
}

test('very many processes that do nothing let nobody stand still for long, and hide nobody', async () => {
  const holder = await run(still, "card = os.open('/dev/full', os.O_RDWR)");
  await revoked();
  const { frozenMs, found } = await revoked();
  console.log(`${many} idle processes: the container stood still for ${Math.round(frozenMs)} ms`);
  // It is no input, so that it is found and cannot be taken back.
  assert.match(found.left.join(), new RegExp(`python3 \\(pid ${holder}\\)`));
  assert.equal([found.suspected, found.handed], [[], []]);
  assert.ok(frozenMs < 150, `${frozenMs} ms`);
});

test('nor do very many descriptors of nothing that another device could be hidden in', async () => {
  const program = `import resource, socket
most = min(250_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100)
resource.setrlimit(resource.RLIMIT_NOFILE, (most + 100, most + 100))
one = socket.socket()
for _ in range(most): os.dup(one.fileno())
if os.fork() == 0: time.sleep(600)`;
  await run(crowdAt, program);
  const { frozenMs, found } = await revoked();
  console.log(`and 500,000 descriptors: ${Math.round(frozenMs)} ms`);
  assert.equal([found.suspected, found.handed], [[], []], 'all is looked at');
  assert.ok(frozenMs < 500, `${frozenMs} ms`);
});

test('where the kernel does not tell of open files, processes that do nothing are in the budget of their owner', () => {
  assert.is(whoMayHave([full], atOnce), undefined, 'it was not asked to');
  const limits = { ...patient, ofOne: many };
  const began = performance.now();
  const { unseen, holders } = findHolders([full], { limits, spared: [], keepers: [] });
  console.log(`the search took ${Math.round(performance.now() - began)} ms`);
  const theirs = unseen.filter(({ cgroup }) => cgroup === crowdAt);
  assert.ok(theirs.some(({ uid, why }) => uid === 4242 && why === 'too many'));
  assert.ok(
    holders.some(({ cgroup }) => cgroup === still),
    'others are looked at',
  );
});

test('who may have a device is told by what is open: the device, a message with a descriptor, an io_uring', async () => {
  assert.is(watchFiles(), undefined);
  const message = `import array, socket
reader, writer = socket.socketpair()
writer.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0]))])`;
  const unaccepted = `import array, socket
listener, writer = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
listener.bind('\\0hotseat-crowd-%d' % os.getpid())
listener.listen()
writer.connect(listener.getsockname())
writer.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0]))])`;
  const ring = 'import ctypes\nring = ctypes.CDLL(None).syscall(425, 8, ctypes.create_string_buffer(120))';
  const device = "card = os.open('/dev/full', os.O_RDONLY)";
  const apart = `import ctypes, threading\ndef own():\n    ctypes.CDLL(None).unshare(0x400)\n    os.open('/dev/full', os.O_RDONLY)
    time.sleep(600)\nthreading.Thread(target=own, daemon=True).start()\ntime.sleep(0.3)`;
  const nothing = "import socket\npair = socket.socketpair()\nother = os.open('/dev/zero', os.O_RDONLY)";
  const [none, ...some] = await Promise.all(
    [nothing, message, unaccepted, ring, device, apart].map((one) => run(still, one)),
  );
  const told = whoMayHave([{ major: 13, minor: 64 }, full], atOnce);
  assert.ok(told !== undefined);
  for (const [index, pid] of some.entries()) assert.ok(told.all.has(pid), `the ${index + 1}. of them`);
  assert.not.ok(told.all.has(none ?? 0));
  const lies = [none ?? 0, ...some].map((pid) => told.queued.has(pid));
  assert.equal(lies, [false, true, true, false, false, false], 'in sockets');
  const { inFlight } = findHolders([full], { limits: patient, spared: [], keepers: [] });
  const found = [none ?? 0, ...some].map((pid) => inFlight.some((one) => one.pid === pid));
  assert.equal(found, [false, true, true, true, false, false], 'the search takes the word of the kernel');
});

test('where there are more descriptors than the kernel names in time, others are looked at one by one, and their owner counts', () => {
  assert.is(whoMayHave([full], { ...atOnce, ms: 0 }), undefined);
  let signs = 0;
  assert.ok(whoMayHave([full], { ...atOnce, sign: () => void signs++ })?.all.size, 'with more time it does');
  assert.ok(signs > 0, 'it is said meanwhile that the search goes on');
  const limits = { ...hasty, ofOne: many, ms: { ...patient.ms, files: 0 } };
  const { unseen, holders } = findHolders([full], { limits, spared: [], keepers: [] });
  const isCrowds = ({ cgroup, uid, why }: Unseen): boolean => cgroup === crowdAt && uid === 4242 && why === 'too many';
  assert.is(unseen.filter(isCrowds).length, 1);
  assert.ok(
    holders.some(({ cgroup }) => cgroup === still),
    'others are looked at',
  );
});

test('a search that takes too long ends, and says who was next', () => {
  const limits = { ...hasty, ms: { ...hasty.ms, whole: 0 } };
  const { unseen, holders } = findHolders([full], { limits, spared: [], keepers: [] });
  assert.equal([unseen.map(({ why }) => why), holders], [['late'], []]);
});

test('very many processes that have a message with a descriptor are in the budget of their owner', async () => {
  const crowd = 300;
  const program = `import array, socket
os.setgid(4343)
os.setuid(4343)
reader, writer = socket.socketpair()
writer.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0]))])
for count in range(${crowd}):
    if os.fork() == 0: time.sleep(600)`;
  await run(queuedAt, program);
  const limits = { ...patient, ofOne: 2000 };
  const { unseen, inFlight } = findHolders([full], { limits, spared: [], keepers: [] });
  const theirs = inFlight.filter(({ uid }) => uid === 4343).length;
  assert.ok(theirs > 0 && theirs < crowd / 3, `${theirs} of them are told of`);
  assert.is(unseen.filter(({ uid, why }) => uid === 4343 && why === 'too many').length, 1);
  const spared = [ownerOf(queuedAt)];
  const without = findHolders([full], { limits, spared, keepers: [] });
  assert.is(without.unseen.filter(({ uid, why }) => uid === 4343 && why === 'endless').length, 1);
});

test('where an older kernel does not count what was sent to a socket before it was accepted, whoever waits there counts', async () => {
  assert.equal(['6.1.0-37-amd64', '6.2.16', '6.3.0-rc1', '6.12.1', '7.0.0', 'x'].map(countsUnaccepted), [
    false,
    false,
    true,
    true,
    true,
    false,
  ]);
  const program = `import socket
listener, empty, writer = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
for index, one in enumerate((listener, empty)):
    one.bind('\\0hotseat-waits-%d-%d' % (os.getpid(), index))
    one.listen()
writer.connect(listener.getsockname())
for fd, one in ((50, listener), (51, empty), (52, writer)): os.dup2(one.fileno(), fd)`;
  const pid = await run(still, program);
  assert.equal(
    [50, 51, 52].map((fd) => hasUnaccepted(pid, fd)),
    [true, false, false],
  );
  assert.throws(() => hasUnaccepted(pid, 53), /EBADF/);
});

test.run();
