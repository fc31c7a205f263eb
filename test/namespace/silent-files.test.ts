// Files of others that are never answered for: their owners hold processes that look at them, and nobody else.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Subscription } from 'rxjs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { refMoves } from '../../agent/active/ref-moves.js';
import { Follower } from '../../agent/engines/follower.js';
import { lxc } from '../../agent/engines/lxc.js';
import { podman } from '../../agent/engines/podman.js';
import { hasOwnRoot, runs } from '../../agent/engines/process.js';
import { cgroupOf, cgroupRoot } from '../../agent/kernel/cgroup.js';
import { Helpers } from '../../agent/kernel/helpers.js';
import { openLocal } from '../../agent/kernel/local.js';
import { Namespaces } from '../../agent/kernel/namespaces.js';
import { helpersOf } from './children-of.js';
import { longestWait } from './longest-wait.js';
import { refTo } from './ref-to.js';
import { removeGroups } from './remove-groups.js';
import { silentFuse } from './silent-fuse.js';
import { unshared } from './unshared.js';
import { until } from './until.js';

unshared(import.meta.url);

/** Longest that a helper may take here, ms. */
const limit = 1000;
const namespaces = new Namespaces(new Helpers(limit));
const root = join(cgroupRoot(), `hotseat-silent-${process.pid}.slice`);
const mounts = ['hung', 'unreadable'].map((name) => mkdtempSync(join(tmpdir(), `hotseat-${name}-`)));
const [hungAt = '', unreadableAt = ''] = mounts;
const [fuse, pages] = await Promise.all(mounts.map(silentFuse));
const children: ChildProcess[] = [];
const groups = [root];
const nobody = 65534;

function group(path: string): string {
  const made: string[] = [];
  for (let at = join(root, path); at !== root; at = dirname(at)) made.unshift(at);
  for (const at of made) {
    mkdirSync(at, { recursive: true });
    if (!groups.includes(at)) groups.push(at);
  }
  return join(root, path);
}

/**
 * The common part of the programs below: they begin when they are in their group, and their child is pid 1 of a
 * container.
 */
const begin = `
import ctypes, mmap, os, signal, sys, threading
libc = ctypes.CDLL(None)
sys.stdin.readline()
home = os.open('/proc/self/ns/pid', os.O_RDONLY)
libc.unshare(0x20000000)
child = os.fork()
if child == 0:
    if len(sys.argv) > 2 and sys.argv[2] == 'chroot':
        os.chroot(sys.argv[1])
        os.chdir('/')
    print('up', flush=True)
    signal.pause()
libc.setns(home, 0x20000000) # else it could have no threads
`;

/** A container's monitor: with `chroot`, its init goes to live in the silent file system. */
const plain = `${begin}
os.waitpid(child, 0)
`;

/**
 * One that nobody can read the command line of any more: reading its memory waits for a page that never comes, with the lock
 * of its address space held; a mapping waits for that lock; and everybody else waits for the mapping.
 */
const unreadable = `${begin}
page = os.open(sys.argv[1] + '/page', os.O_RDONLY)
memory = os.open('/proc/self/mem', os.O_RDONLY)
libc.mmap.restype = ctypes.c_void_p
address = libc.mmap(None, ctypes.c_size_t(4096), 1, 1, page, ctypes.c_size_t(0))
open('/proc/self/comm', 'w').write('incusd')
os.setgid(${nobody})
os.setuid(${nobody})
def map_more():
    libc.usleep(300000)
    libc.mmap(None, ctypes.c_size_t(4096), 1, 0x22, -1, ctypes.c_size_t(0))
threading.Thread(target=map_more).start()
def read_page():
    try:
        os.pread(memory, 1, address)
    except OSError:
        pass
threading.Thread(target=read_page).start()
libc.pause()
`;

/** Starts a monitor in a group, with `title` as the beginning of its command line. */
async function run(cgroup: string, program: string, title: string, ...words: string[]): Promise<ChildProcess> {
  const child = spawn('/usr/bin/python3', ['-c', program, ...words], {
    argv0: title,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(child);
  let said = '';
  child.stdout.on('data', (data: Buffer) => {
    said += data.toString();
  });
  writeFileSync(join(cgroup, 'cgroup.procs'), String(child.pid));
  child.stdin.write('\n');
  await until('the container', () => said.includes('up'));
  return child;
}

/** Pid on the host of the init that is in a group. */
function initIn(cgroup: string): number {
  const pids = readFileSync(join(cgroup, 'cgroup.procs'), 'utf8').trim().split('\n');
  return Number(pids.find((pid) => /^NSpid:.*\s1$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))));
}

const followed = async (dialect: typeof lxc): Promise<{ ms: number; names: string[]; problem: string | undefined }> => {
  const follower = new Follower(root, dialect, { commandLine: (monitor) => namespaces.commandLine(monitor) });
  const began = performance.now();
  follower.list();
  const ms = performance.now() - began;
  await follower.settled();
  const names = follower.list().map(({ name }) => name);
  const { problem } = follower;
  follower.close();
  return { ms, names, problem };
};

const users = `user.slice/user-${nobody}.slice/user@${nobody}.service/user.slice`;
const hung = () => group('lxc.payload.hung');
const fine = () => group('lxc.payload.fine');
/** Of four owners, who are nobody's seats. */
const crowd = ['crowd-1', 'crowd-2', 'crowd-3', 'crowd-4'];

test.before(async () => {
  mkdirSync(root);
  // As the service that the agent is.
  writeFileSync(join(group('agent.service'), 'cgroup.procs'), String(process.pid));
  await namespaces.start();
  await run(hung(), plain, '[lxc monitor] /var/lib/lxc hung', hungAt, 'chroot');
  await run(fine(), plain, '[lxc monitor] /var/lib/lxc fine');
  for (const one of crowd) await run(group(one), plain, one, hungAt, 'chroot');
});

test.after(async () => {
  for (const one of [fuse, pages]) one?.end();
  namespaces.close();
  writeFileSync(join(cgroupRoot(), 'cgroup.procs'), String(process.pid));
  writeFileSync(join(root, 'cgroup.kill'), '1');
  await removeGroups(groups);
  for (const mount of mounts) {
    spawnSync('umount', ['--lazy', mount]);
    rmdirSync(mount);
  }
});

test('a container whose root directory is not answered for is looked at in no time, and so are the others', async () => {
  await fuse?.hush();
  const init = initIn(hung());
  const began = performance.now();
  assert.ok(hasOwnRoot(init));
  assert.equal((await followed(lxc)).names.sort(), ['fine', 'hung']);
  assert.ok(performance.now() - began < limit);
});

test('who looks into it is given up, nobody else waits, and after two of them nobody is sent any more', async () => {
  const reason = (promise: Promise<unknown>) => promise.then(String, (error: Error) => error.message);
  const read = (cgroup: string) => namespaces.find(refTo(initIn(cgroup)), ['etc/passwd']);
  const held = [reason(read(hung())), reason(read(hung()))];
  const began = performance.now();
  assert.equal(await read(fine()), ['there']);
  const ms = performance.now() - began;
  assert.match((await held[0]) ?? '', /^find of process \d+ took over 1000 ms$/);
  assert.ok(ms < limit + 4000, `${ms} ms`);
  assert.match((await held[1]) ?? '', /took over/);
  const again = performance.now();
  assert.match(await reason(read(hung())), /does not answer, and holds 2 helpers/);
  assert.ok(performance.now() - again < limit);
  assert.equal(await read(fine()), ['there']);
});

test('helpers that cannot be killed keep no service from being started again, and no agent from ending', async () => {
  const helpers = () => helpersOf(process.pid);
  assert.ok(helpers().length >= 2);
  assert.equal(
    helpers().filter((pid) => cgroupOf(pid)?.startsWith(root)),
    [],
    'whatever they do, they are not in the group of the service',
  );
  // One of another agent's, which ends.
  const script = `
    import { Namespaces } from ${JSON.stringify(new URL('../../agent/kernel/namespaces.js', import.meta.url).pathname)};
    import { Helpers } from ${JSON.stringify(new URL('../../agent/kernel/helpers.js', import.meta.url).pathname)};
    const namespaces = new Namespaces(new Helpers(${limit}));
    await namespaces.find(${JSON.stringify(refTo(initIn(hung())))}, ['etc/passwd']).catch((error) => console.log(error.message));
    namespaces.close();
  `;
  const began = performance.now();
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 30_000,
  });
  assert.match(stdout, /took over/);
  assert.is(status, 0, 'it ended');
  assert.ok(performance.now() - began < 10_000);
});

test('four owners who hold all helpers there may be: whoever is next is not looked at, that is said, and it ends with them', async () => {
  const own = new Namespaces(new Helpers(limit));
  const read = (cgroup: string) =>
    own.find(refTo(initIn(cgroup)), ['etc/passwd']).then(
      (found) => found.join(),
      (error: Error) => error.message,
    );
  try {
    const held = crowd.flatMap((one) => [read(group(one)), read(group(one))]);
    for (const reason of await Promise.all(held)) assert.match(reason, /took over 1000 ms/);
    const began = performance.now();
    assert.is(await read(fine()), '8 helpers hang, and there may be no more');
    assert.ok(performance.now() - began < limit, 'nobody waits for that');
    assert.match(await read(group('crowd-1')), /does not answer, and holds 2 helpers/);
  } finally {
    own.close();
  }
});

test('a repository that is not answered for stops nobody, and is asked again and again whether its ref has moved', async () => {
  // After the two that may hang there is an answer at once.
  const own = new Namespaces(new Helpers(limit));
  const place = { policies: hungAt, ref: 'refs/heads/main', signers: undefined };
  let moves = 0;
  let longest = 0;
  const watching = new Subscription();
  try {
    longest = await longestWait(async () => {
      const asked = refMoves(place, 100, (path) => own.openLocal(path));
      watching.add(asked.subscribe(() => void moves++));
      await until('it to be asked', () => moves >= 3);
    });
  } finally {
    watching.unsubscribe();
    own.close();
  }
  assert.ok(longest < limit, `nobody else waited over ${longest} ms`);
});

test('a repository on a file system that need not answer is not watched', () => {
  assert.throws(() => openLocal('/proc/self'), /in a file system \(proc\) that need not answer/);
});

test('a user’s monitor that begins as another program is found by what it is in the end', async () => {
  const cgroup = group(`${users}/libpod-${'c'.repeat(64)}.scope`);
  const late = `${begin}
os.setgid(${nobody})
os.setuid(${nobody})
sys.stdin.readline()
os.execv('/usr/bin/python3', ['/usr/bin/conmon', '-c', 'import os; os.wait()', '-n', 'late'])
`;
  const { stdin } = await run(cgroup, late, '/usr/bin/crun', 'create');
  const follower = new Follower(root, podman, { commandLine: (monitor) => namespaces.commandLine(monitor) });
  const names = () => follower.list().map(({ name }) => name);
  names();
  await follower.settled();
  assert.equal(names(), []);
  stdin?.write('\n');
  await until('its name', () => names().includes('late'));
  follower.close();
  writeFileSync(join(cgroup, 'cgroup.kill'), '1');
});

test('a user’s monitor whose command line cannot be read is nobody’s, and holds up no other', async () => {
  const named = group(`${users}/libpod-${'a'.repeat(64)}.scope`);
  const monitor = `${plain.replace('os.waitpid', `os.setgid(${nobody})\nos.setuid(${nobody})\nos.waitpid`)}`;
  await run(named, monitor, '/usr/bin/conmon', '-n', 'named');
  assert.equal((await followed(podman)).names, ['named'], 'else this shows nothing');
  const cgroup = group(`${users}/libpod-${'b'.repeat(64)}.scope`);
  const { pid } = await run(cgroup, unreadable, '/usr/bin/conmon', unreadableAt, '-n', 'unreadable');
  const cat = () => spawnSync('cat', [`/proc/${pid}/cmdline`], { timeout: 300, killSignal: 'SIGKILL' });
  await until('it to be unreadable', () => cat().status === null);
  const { ms, names, problem } = await followed(podman);
  assert.ok(ms < limit, `the look took ${ms} ms`);
  assert.equal(names, ['named']);
  assert.match(problem ?? '', /cannot be named: command-line of process \d+ took over/);
  const began = performance.now();
  assert.not.ok(runs('incusd'), 'it may have any name, and is not root’s');
  assert.ok(performance.now() - began < limit);
});

test('a file system in the place of a user’s runtime directory is not listened at, and nobody waits for it', async () => {
  const base = mkdtempSync(join(tmpdir(), 'hotseat-runtime-'));
  const silent = await silentFuse(base);
  await silent.hush();
  // The waiting happens in the kernel: so a process of its own waits.
  const stream = new URL('../../agent/engines/streams/file.js', import.meta.url).href;
  const program = `import { fileStream } from '${stream}';
fileStream(process.argv[1], 'libpod', 'events.log').words.subscribe({ error: ({ message }) => console.log(message) });`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program, base], {
    timeout: 8000,
    killSignal: 'SIGKILL',
    encoding: 'utf8',
  });
  silent.end();
  assert.match(stdout, /is in a file system \(fuse\) that need not answer/);
});

test.run();
