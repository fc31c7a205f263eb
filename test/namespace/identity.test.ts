// The identity of a container, and whose word counts for it: only the kernel's facts, and users with the right to give
// them.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ContainerRef } from '../../agent/core/policy.js';
import { Engines, isOnRecord } from '../../agent/engines/all.js';
import type { Container } from '../../agent/engines/engine.js';
import { Follower } from '../../agent/engines/follower.js';
import { lxc } from '../../agent/engines/lxc.js';
import { podman } from '../../agent/engines/podman.js';
import { findInit, pidsBelow } from '../../agent/engines/process.js';
import { cgroupId, cgroupRoot } from '../../agent/kernel/cgroup.js';
import { DeviceMap } from '../../agent/kernel/device-map.js';
import { Namespaces } from '../../agent/kernel/namespaces.js';
import { processKey, runningKey } from '../../agent/kernel/process-key.js';
import { RecordFile } from '../../agent/kernel/record-file.js';
import { accountsOf } from '../../agent/seat/accounts.js';
import { Grants } from '../../agent/seat/grants.js';
import { removeGroups } from './remove-groups.js';
import { unshared } from './unshared.js';
import { until } from './until.js';

unshared(import.meta.url);

const root = join(cgroupRoot(), `hotseat-identity-${process.pid}`);
const scratch = mkdtempSync(join(tmpdir(), 'hotseat-identity-'));
const groups: string[] = [];
const children: ChildProcess[] = [];
/** Root's are read without asking. */
const commandLine = async () => undefined;
const namespaces = new Namespaces();
let map: DeviceMap;

/** Makes a group and those above it, all of this user. */
function group(path: string, uid = 0): string {
  const cgroup = join(root, path);
  const made: string[] = [];
  for (let at = cgroup; at !== root; at = dirname(at)) made.unshift(at);
  for (const at of made) {
    mkdirSync(at, { recursive: true });
    chownSync(at, uid, uid);
    groups.push(at);
  }
  return cgroup;
}

/**
 * A monitor whose child is pid 1 of a pid namespace, and which has a helper in there. `say` writes a line to its
 * reader: `leave` has init unshare its user namespace, `hide` has it do that, and go on as another program with a root
 * of its own, when its helper has ended; `thread` has its first thread end, and another one go on; `open` has the
 * helper try a device that it made itself.
 */
const monitor = `
import ctypes, os, signal, sys, threading
libc = ctypes.CDLL(None)
flags = int(sys.argv[1], 16)
sys.stdin.readline() # by now it is in its group
assert libc.unshare(flags) == 0
if flags & 0x10000000:
    print('unshared', flush=True)
    sys.stdin.readline()
    os.setgid(0)
    os.setuid(0)
child = os.fork()
if child:
    print('up', flush=True)
    os.waitpid(child, 0)
    sys.exit()
aid, orders = os.pipe()
helper = os.fork()
if helper == 0:
    for line in os.fdopen(aid):
        try:
            os.close(os.open(sys.argv[2], os.O_RDWR))
            print('opened', flush=True)
        except OSError as error:
            print('refused', flush=True)
    sys.exit()
for line in sys.stdin:
    if line == 'leave\\n':
        assert libc.unshare(0x10000000) == 0
        print('left', flush=True)
    elif line == 'thread\\n':
        threading.Thread(target=lambda: print('alone', flush=True) or signal.sigwait([signal.SIGUSR1])).start()
        libc.syscall(60 if os.uname().machine == 'x86_64' else 93, 0) # exit: of this thread
    elif line == 'hide\\n':
        os.kill(helper, signal.SIGKILL)
        os.waitpid(helper, 0)
        assert libc.unshare(0x10000000) == 0
        os.chroot('/usr')
        os.execv('/bin/sleep', ['sleep', '600'])
    else:
        os.write(orders, line.encode())
signal.pause()
`;
const [newPid, newUser] = [0x20000000, 0x10000000];

interface Running {
  readonly child: ChildProcess;
  readonly said: () => string;
  say(line: string): void;
}

/** Starts it in a group; `title`: the beginning of its command line. */
async function run(
  cgroup: string,
  { title = 'monitor', uid = 0, flags = newPid, words = [] as readonly string[], map = '' } = {},
): Promise<Running> {
  const node = join(scratch, 'null');
  const child = spawn('/usr/bin/python3', ['-c', monitor, flags.toString(16), node, ...words], {
    argv0: title,
    ...{ uid, gid: uid },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(child);
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
  });
  writeFileSync(join(cgroup, 'cgroup.procs'), String(child.pid));
  const say = (line: string): void => void child.stdin.write(`${line}\n`);
  say('begin');
  if ((flags & newUser) !== 0) {
    await until('its user namespace', () => output.includes('unshared'));
    writeFileSync(`/proc/${child.pid}/uid_map`, map);
    writeFileSync(`/proc/${child.pid}/gid_map`, map);
    say('go on');
  }
  await until('the container', () => output.includes('up'));
  return { child, said: () => output, say };
}

const listed = (cgroup: string, dialect = lxc): Container[] => {
  const follower = new Follower(root, dialect, { commandLine });
  try {
    return follower.list().filter((container) => container.cgroup === cgroup);
  } finally {
    follower.close();
  }
};

test.before(() => {
  mkdirSync(root);
  map = DeviceMap.open({ cgroupRoot: root, majors: [1] });
});

test.after(async () => {
  namespaces.close();
  for (const child of children) child.kill('SIGKILL');
  writeFileSync(join(root, 'cgroup.kill'), '1');
  map.remove();
  map.close();
  await removeGroups([...new Set([root, ...groups])]);
  rmSync(scratch, { recursive: true });
});

test('a user whose service has groups of its own to make has no container of root’s in there', async () => {
  const path = `system.slice/ci.service/libpod-payload-${'a'.repeat(64)}`;
  const conmon = { title: '/usr/bin/conmon', words: ['-n', 'left'] };
  const cgroup = group(path);
  const roots = await run(cgroup, conmon);
  assert.is(listed(cgroup, podman)[0]?.name, 'left', 'root’s own is seen: else this shows nothing');
  roots.child.kill('SIGKILL');
  writeFileSync(join(cgroup, 'cgroup.kill'), '1');
  await until('its end', () => listed(cgroup, podman).length === 0);

  chownSync(dirname(cgroup), 65534, 65534);
  await run(cgroup, conmon);
  assert.equal(listed(cgroup, podman), [], 'made by whoever owns the group above');

  const own = group(`system.slice/root.service/libpod-payload-${'b'.repeat(64)}`);
  await run(own, { ...conmon, uid: 65534, flags: newPid | newUser, map: '0 100000 65536' });
  assert.equal(listed(own, podman), [], 'called so by a process that is not root’s');
});

test('an init that leaves its user namespace is the same container, and what it left behind opens nothing', async () => {
  const cgroup = group('lxc.payload.left');
  const { child, say, said } = await run(cgroup);
  const { execFileSync } = await import('node:child_process');
  execFileSync('mknod', ['-m', '666', join(scratch, 'null'), 'c', '1', '3']);
  const [before] = listed(cgroup);
  assert.equal([before?.name, before?.uid, before?.gid], ['left', 0, 0]);
  say('open');
  await until('an answer', () => said().includes('opened'));
  const grants = new Grants(map);
  grants.guard(cgroup);

  say('leave');
  await until('init to have left', () => said().includes('left'));
  assert.is(readFileSync(`/proc/${before?.pid}/uid_map`, 'utf8'), '', 'its map tells nothing: else this shows nothing');
  assert.equal(listed(cgroup), [before]);
  grants.keep(listed(cgroup).map((container) => container.cgroup));
  say('open');
  await until('another answer', () => said().includes('refused'));
  child.kill('SIGKILL');
  writeFileSync(join(cgroup, 'cgroup.kill'), '1');
});

test('the root of an unprivileged container is told from those who stayed', async () => {
  const cgroup = group('lxc.payload.mapped');
  const { say, said } = await run(cgroup, { flags: newPid | newUser, map: '0 100000 65536' });
  const [before] = listed(cgroup);
  assert.equal([before?.uid, before?.gid], [100_000, 100_000]);
  say('leave');
  await until('init to have left', () => said().includes('left'));
  assert.equal(listed(cgroup), [before]);
  const accounts = await accountsOf(namespaces, { pid: before?.pid ?? 0, key: before?.key ?? '' });
  assert.is(accounts.user('0'), 100_000, 'by the same map');
});

test('where subordinate uids are not in /etc/subuid, containers of users are refused', () => {
  const engines = new Engines(root, { commandLine });
  const absence = () => engines.absence({ engine: 'podman', name: 'left', user: 'nobody' });
  assert.not.match(absence(), /subordinate/);
  const file = join(scratch, 'nsswitch.conf');
  writeFileSync(file, 'passwd: files sss\nsubid: sss\n');
  execFileSync('mount', ['--bind', file, '/etc/nsswitch.conf']);
  try {
    assert.match(
      absence(),
      /^containers of users are refused .* not in \/etc\/subuid: have subid: files .* which has sss$/,
    );
  } finally {
    execFileSync('umount', ['/etc/nsswitch.conf']);
    engines.close();
  }
});

test('a container of which nobody can tell any more who its root is, is unclear', async () => {
  const cgroup = group('lxc.payload.unclear');
  const { child, say } = await run(cgroup, { flags: newPid | newUser, map: '0 100000 65536' });
  // An engine's monitor is not in the group of its container.
  writeFileSync(join(group('lxc.monitor.unclear'), 'cgroup.procs'), String(child.pid));
  say('hide');
  await until('it to be another program', () => listed(cgroup)[0]?.state === 'unclear');
  const [unclear] = listed(cgroup);
  assert.equal([unclear?.name, unclear?.state, unclear?.uid], ['unclear', 'unclear', 65534]);
});

test('an init whose first thread has ended is the same container as long as another one runs', async () => {
  const cgroup = group('lxc.payload.threads');
  const follower = new Follower(root, lxc, { commandLine });
  const seen = (): Container | undefined => follower.list().find((one) => one.cgroup === cgroup);
  try {
    const { say, said } = await run(cgroup, { flags: newPid | newUser, map: '0 100000 65536' });
    say('leave');
    const before = seen();
    const init = before?.pid ?? 0;
    say('thread');
    await until('the other thread', () => said().includes('alone'));
    await until('the first to have ended', () => /^State:\tZ/m.test(readFileSync(`/proc/${init}/status`, 'utf8')));
    assert.is(runningKey(init), before?.key);
    assert.is(seen()?.key, before?.key);
    process.kill(init, 'SIGKILL');
    await until('it to have ended', () => runningKey(init) === undefined);
    assert.is(seen(), undefined);
  } finally {
    follower.close();
  }
});

test('an init is looked for among so many processes, and where it may be another one that is said', async () => {
  const cgroup = group('lxc.payload.crowd');
  await run(cgroup);
  await until('a helper of its init', () => pidsBelow(cgroup).length > 2);
  const all = pidsBelow(cgroup);
  const init = findInit(cgroup);
  assert.ok(init !== undefined && all.length > 2);
  assert.is(findInit(cgroup, all.length), init, 'nobody inside could have made it');
  assert.throws(() => findInit(cgroup, 1), /over 1 processes: which of them is its init cannot be told/);
});

test('an init that waits for the end of the last in its container is none, and the next one in its group is seen', async () => {
  const cgroup = group('lxc.payload.again');
  const follower = new Follower(root, lxc, { commandLine });
  const seen = (): (string | undefined)[] =>
    follower.list().flatMap((one) => (one.cgroup === cgroup ? [one.key, one.state] : []));
  try {
    await run(cgroup);
    const [key = ''] = seen();
    const init = Number(key.split(':')[0]);
    // The process outside should wait for the one that entered, and does not.
    const outside = spawn('nsenter', ['--pid', '--target', String(init), 'sh', '-c', 'echo up; exec sleep 600'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(outside);
    await new Promise((up) => outside.stdout?.once('data', up));
    outside.kill('SIGSTOP');
    // Else it could still take notice of the end.
    await until('it to stand still', () => /^State:\tT/m.test(readFileSync(`/proc/${outside.pid}/status`, 'utf8')));
    process.kill(init, 'SIGKILL');
    await until('it to have ended, but for that', () => runningKey(init) === undefined);
    assert.is(processKey(init), key, 'it is still there');
    assert.equal(seen(), []);
    await run(cgroup);
    const [next, state] = seen();
    assert.is.not(next, undefined);
    assert.is.not(next, key);
    assert.is(state, 'setup');
    outside.kill('SIGKILL');
  } finally {
    follower.close();
  }
});

test('what is left in a group without an init stays guarded, also for the next agent, until it ends', async () => {
  const cgroup = group('lxc.payload.lingers');
  const { child } = await run(cgroup);
  const parked = spawn('sleep', ['60']);
  children.push(parked);
  writeFileSync(join(cgroup, 'cgroup.procs'), String(parked.pid));
  const isGuarded = () => map.read().some((entry) => entry.cgroup === cgroupId(cgroup) && entry.number.major === 0);
  const record = () => new RecordFile(join(scratch, 'guards.json'), (value) => typeof value === 'string');
  const grants = new Grants(map, undefined, record());
  grants.guard(cgroup);
  const id = cgroupId(cgroup);
  const pid = listed(cgroup)[0]?.pid ?? 0;
  process.kill(pid, 'SIGKILL');
  child.kill('SIGKILL');
  await until('no init', () => listed(cgroup).length === 0);
  grants.drop(cgroup, id);
  assert.ok(isGuarded(), 'somebody is still there');

  const next = new Grants(map, undefined, record());
  next.keep([]);
  assert.ok(isGuarded(), 'the next agent knows where the group is');
  parked.kill('SIGKILL');
  await until('the group to be empty', () =>
    /^populated 0$/m.test(readFileSync(join(cgroup, 'cgroup.events'), 'utf8')),
  );
  next.reread();
  assert.not.ok(isGuarded());
});

test('a container that was emptied is as it was before', async () => {
  const cgroup = group('lxc.payload.emptied');
  await run(cgroup);
  const grants = new Grants(map);
  grants.guard(cgroup);
  grants.drop(cgroup, cgroupId(cgroup), { emptied: true });
  assert.not.ok(map.read().some((entry) => entry.cgroup === cgroupId(cgroup)));
});

for (const [engine, name, path, monitor] of [
  ['incus', 'inc', 'lxc.payload.inc', { title: '[lxc monitor] /var/lib/incus/containers inc' }],
  [
    'podman',
    'left',
    `machine.slice/libpod-${'c'.repeat(64)}.scope`,
    { title: '/usr/bin/conmon', words: ['-n', 'left'] },
  ],
] as const) {
  test(`an agent that starts when the engine’s monitor has died knows the container from the record: ${engine}`, async () => {
    const cgroup = group(path);
    const { child } = await run(cgroup, { words: [], ...monitor });
    // A monitor is not in the group of its container.
    writeFileSync(join(group(`${engine}.monitor`), 'cgroup.procs'), String(child.pid));
    const file = join(scratch, `${engine}.json`);
    const record = () => new RecordFile(file, isOnRecord);
    const seen = (...attended: ContainerRef[]): string[] => {
      const engines = new Engines(root, { commandLine, record: record() });
      try {
        if (attended.length > 0) engines.attend(attended);
        return engines.list().flatMap((one) => (one.cgroup === cgroup ? [`${one.engine} ${one.name}`] : []));
      } finally {
        engines.close();
      }
    };
    assert.equal(seen(), [], 'nobody’s containers are looked for yet');
    assert.equal(seen({ engine, name }), [`${engine} ${name}`]);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    assert.equal(seen(), [`${engine} ${name}`]);
    writeFileSync(file, '{"1:2": 7, "spoilt');
    assert.equal(seen(), [], 'a record that was spoilt is none');
  });
}

test.run();
