import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { SysError } from '../../agent/kernel/errors.js';
import { Helpers } from '../../agent/kernel/helpers.js';
import { mountPoints, mountTmpfs, openTree } from '../../agent/kernel/mount.js';
import { Namespaces } from '../../agent/kernel/namespaces.js';
import { injectUevent, sendUevent } from '../../agent/kernel/netlink.js';
import { processRef } from '../../agent/kernel/process-key.js';
import { unmountGrafts } from '../../agent/release.js';
import { graft, graftsIn, missingGrafts } from '../../agent/seat/graft.js';
import { seatRoot } from '../../agent/seat/layout.js';
import { encode } from '../../agent/udev/datagram.js';
import { encodeKernel } from '../../agent/udev/kernel-uevent.js';
import { helpersOf } from './children-of.js';
import { refTo } from './ref-to.js';
import { unshared } from './unshared.js';
import { until } from './until.js';

unshared(import.meta.url);

const namespaces = new Namespaces();
const scratch = mkdtempSync('/tmp/hotseat-namespaces-');
const children: ChildProcess[] = [];
/** The host id of an unprivileged container's root. */
const shifted = 1_000_000;

/** A process with namespaces of its own, whose root directory is the one from its start. Settles when it runs. */
async function container(mapped: boolean): Promise<number> {
  const options = mapped ? ['--user', '--mount', '--net'] : ['--mount', '--net'];
  const child = spawn(
    'unshare',
    [...options, '--propagation', 'private', 'sh', '-c', 'echo in; read go; echo up; exec sleep 600'],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  children.push(child);
  const said = () =>
    new Promise<string>((resolve) => child.stdout.once('data', (data) => resolve(String(data).trim())));
  assert.is(await said(), 'in');
  const pid = child.pid ?? 0;
  if (mapped) {
    for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${pid}/${map}`, `0 ${shifted} 65536\n`);
  }
  const up = said();
  child.stdin.write('\n');
  assert.is(await up, 'up');
  return pid;
}

/** Acts as libudev: joins udevd's group, or the kernel's, and asks who sent each message. */
const listen = `
import socket, struct, sys
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
s.bind((0, int(sys.argv[1])))
print('listening')
data, control, _, (sender, group) = s.recvmsg(8192, 100)
print(data, 'from', struct.unpack('iii', control[0][2])[1], 'port', sender, 'group', group)
`;

/** Starts a listener in a process's namespaces; the returned function waits until something was heard. */
async function listener(pid: number, group: 1 | 2): Promise<(wanted: RegExp) => Promise<string>> {
  const enter = pid === process.pid ? [] : ['nsenter', '--user', '--net', '--target', String(pid), '--'];
  const [program = '', ...argv] = [...enter, 'python3', '-uc', listen, String(group)];
  const child = spawn(program, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let heard = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (heard += String(data)));
  const until = async (wanted: RegExp) => {
    for (let tries = 0; tries < 200 && !wanted.test(heard); tries++) await new Promise((done) => setTimeout(done, 50));
    assert.match(heard, wanted);
    return heard;
  };
  await until(/listening/);
  return until;
}

test.before(async () => {
  mountTmpfs(scratch, { size: '4m', inodes: 100, mode: 0o755 });
  await namespaces.start();
});
test.after(() => {
  for (const child of children) child.kill('SIGKILL');
  namespaces.close();
});

test('a plain file of a container is read; what is none is refused, and no link is followed', async () => {
  const pid = await container(false);
  writeFileSync(join(scratch, 'group'), 'audio:x:29:\n');
  symlinkSync('group', join(scratch, 'link'));
  execFileSync('mkfifo', [join(scratch, 'fifo')]);
  const read = (name: string, limit = 100) => namespaces.readFile(refTo(pid), join(scratch, name).slice(1), limit);
  assert.is(await read('group'), 'audio:x:29:\n');
  assert.is(await read('link'), undefined);
  assert.is(await read('missing'), undefined);
  for (const [name, limit] of [
    ['fifo', 100],
    ['.', 100],
    ['group', 5],
  ] as const) {
    const refused = await read(name, limit).catch((error: Error) => error.message);
    assert.match(String(refused), /no plain file|ELOOP|EISDIR/, name);
  }
});

test('a graft appears in the container’s mount namespace alone, read-only, on directories that its root owns', async () => {
  const pid = await container(true);
  mkdirSync(join(scratch, 'seat/dev/input'), { recursive: true });
  mkdirSync(join(scratch, 'home'), { mode: 0o777 });
  execFileSync('chown', ['-R', `${shifted}:${shifted}`, join(scratch, 'home')]);
  const seat = join(scratch, 'seat');
  mountTmpfs(seat, { size: '1m', inodes: 50, mode: 0o755 });
  mkdirSync(join(seat, 'dev/input'), { recursive: true });
  const target = join(scratch, 'home/made/input').slice(1);
  const grafts = [{ source: 'dev/input', target }];
  const [report] = await graft(namespaces, { ...refTo(pid), uid: shifted, gid: shifted }, seat, grafts);
  assert.equal(report, { target: `/${target}`, covers: [] });
  assert.equal(await missingGrafts(namespaces, refTo(pid), seat, grafts), []);
  assert.is(statSync(join(scratch, 'home/made')).uid, shifted);
  assert.not.ok(
    mountPoints('self').some((mount) => mount.target === `/${target}`),
    'the host does not see it',
  );
  const mounted = readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .find((line) => line.includes(`/${target} `));
  assert.match(mounted ?? 'not mounted', / ro,/);
});

test('an announcement reaches listeners in an unprivileged container’s network namespace as one of its root’s', async () => {
  const pid = await container(true);
  const until = await listener(pid, 2);
  const socket = await namespaces.openUeventSocket(refTo(pid));
  const properties = { DEVPATH: '/devices/virtual/mem/null', SUBSYSTEM: 'mem', SEQNUM: '1' };
  sendUevent(socket, encode('add', properties, []), { uid: shifted, gid: shifted });
  closeSync(socket);
  await until(/libudev.*DEVPATH=\/devices\/virtual\/mem\/null.* from 0/);
});

test('what the kernel is asked to say is said in the container’s network namespace alone, as its own, from its root', async () => {
  const pid = await container(true);
  const [inside, outside] = [await listener(pid, 1), await listener(process.pid, 1)];
  const socket = await namespaces.openUeventSocket(refTo(pid));
  const properties = { DEVPATH: '/devices/virtual/mem/null', SUBSYSTEM: 'mem', DEVNAME: '/dev/null', ID_BUS: 'x' };
  const from = { uid: shifted, gid: shifted };
  injectUevent(socket, encodeKernel('add', properties), from);
  await inside(
    /b'add@\/devices\/virtual\/mem\/null\\x00ACTION=add\\x00DEVPATH=\/devices\/virtual\/mem\/null\\x00SUBSYSTEM=mem\\x00DEVNAME=null\\x00SEQNUM=\d+\\x00' from 0 port 0 group 1/,
  );
  assert.not.match(await outside(/listening/), /virtual/);
  assert.throws(
    () => injectUevent(socket, Buffer.alloc(4096, 'x'), from),
    (error: unknown) => error instanceof SysError,
    'what the kernel has against it is said',
  );
  injectUevent(socket, encodeKernel('remove', { ...properties, NAME: 'x'.repeat(1000), UNIQ: 'y'.repeat(1000) }), from);
  closeSync(socket);
});

/** Gives a pid that is free to a new process: the kernel counts on from ns_last_pid (pid_namespaces(7)). */
async function takePid(pid: number): Promise<ChildProcess> {
  for (let tries = 0; tries < 50; tries++) {
    writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
    const child = spawn('sleep', ['600'], { stdio: 'ignore' });
    children.push(child);
    if (child.pid === pid) return child;
    child.kill('SIGKILL');
  }
  throw new Error(`somebody else took pid ${pid} each time`);
}

test('another process that got the pid of a container’s init is never taken for it', async () => {
  const former = refTo(await container(false));
  process.kill(former.pid, 'SIGKILL');
  await until('the init to have ended', () => processRef(former.pid) === undefined);
  await takePid(former.pid);
  assert.is.not(processRef(former.pid)?.key, former.key);
  mkdirSync(join(scratch, 'other'));
  const target = join(scratch, 'other').slice(1);
  const tree = openTree(scratch);
  const mine = mountPoints('self').length;
  for (const [what, asked] of Object.entries({
    graft: () => namespaces.graft({ process: former, owner: { uid: 0, gid: 0 }, mounts: [{ tree, target }] }),
    unmount: () => namespaces.unmount(former, [scratch]),
    socket: () => namespaces.openUeventSocket(former),
    file: () => namespaces.readFile(former, join(scratch, 'group').slice(1), 100),
    mounts: () => namespaces.mounts(former, { targets: [scratch] }),
    commandLine: () => namespaces.commandLine(former),
  })) {
    const answer = await asked().then(
      () => 'answered',
      (error: Error) => error.message,
    );
    assert.is(answer, `process ${former.pid} has ended`, what);
  }
  closeSync(tree);
  assert.is(mountPoints('self').length, mine);
});

test('a helper that nobody needs ends, and whoever asks later gets another', async () => {
  const ours = (): number[] => helpersOf(process.pid);
  const before = ours();
  const some = new Namespaces(new Helpers(undefined, 300));
  const pid = await container(false);
  for (const round of ['first', 'second']) {
    await some.readFile(refTo(pid), 'etc/hostname', 1000);
    assert.is(ours().length, before.length + 1, round);
    await until('it to end', () => ours().length === before.length);
    assert.equal(ours(), before, round);
  }
});

test('whoever has very many mounts waits for himself alone when they are looked at', async () => {
  const pid = await container(false);
  const inside = (script: string) =>
    execFileSync('nsenter', ['--mount', '--target', String(pid), '--', 'sh', '-ec', script], { encoding: 'utf8' });
  mkdirSync(join(scratch, 'many'));
  // Each time it is mounted below itself there are twice as many.
  const mounts = inside(`cd ${scratch}/many; mount -t tmpfs many .; cd ${scratch}/many
    for n in $(seq 16); do mkdir $n; mount --rbind . $n; done
    mount -t tmpfs last 1; grep -c . /proc/self/mountinfo`);
  assert.ok(Number(mounts) > 60_000, mounts);
  let [last, longest] = [performance.now(), 0];
  const clock = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }, 5);
  const began = performance.now();
  const found = await namespaces.mounts(refTo(pid), { targets: [join(scratch, 'many/1')] });
  clearInterval(clock);
  console.log(
    `${mounts.trim()} mounts: ${Math.round(performance.now() - began)} ms, all else at most ${Math.round(longest)} ms`,
  );
  assert.is(found.length, 2);
  assert.ok(longest < 300, `everybody waited for ${longest} ms`);
});

test('a release takes the grafts of all containers away, also behind one that has ended meanwhile', async () => {
  mountTmpfs('/run', { size: '1m', inodes: 100, mode: 0o755 });
  const seat = seatRoot('left');
  mkdirSync(seat, { recursive: true });
  mountTmpfs(seat, { size: '1m', inodes: 50, mode: 0o755 });
  mkdirSync(join(seat, 'dev/input'), { recursive: true });
  const target = join(scratch, 'released').slice(1);
  const [ended, living] = [await container(false), await container(false)].map((pid) => ({
    ...refTo(pid),
    ...{ uid: 0, gid: 0 },
  }));
  assert.ok(ended !== undefined && living !== undefined);
  await graft(namespaces, living, seat, [{ source: 'dev/input', target }]);
  process.kill(ended.pid, 'SIGKILL');
  await until('its end', () => processRef(ended.pid) === undefined);
  const reason = await unmountGrafts([ended, living], new Map([['left', new Map()]])).catch(String);
  assert.match(String(reason), new RegExp(`${ended.pid}`));
  assert.equal(await graftsIn(namespaces, living, [seat]), []);
});

test.run();
