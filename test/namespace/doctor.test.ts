import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Finding } from '../../agent/doctor/finding.js';
import { kernelFacts } from '../../agent/doctor/kernel-facts.js';
import { loadFacts } from '../../agent/doctor/load-facts.js';
import { xorgFacts } from '../../agent/doctor/xorg-facts.js';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { mountTmpfs } from '../../agent/kernel/mount.js';
import { Namespaces } from '../../agent/kernel/namespaces.js';
import { hotseat } from '../unit/hotseat.js';
import { refTo } from './ref-to.js';
import { unshared } from './unshared.js';

unshared(import.meta.url, '--net');

const root = mkdtempSync('/tmp/hotseat-doctor-');
const secret = mkdtempSync('/tmp/hotseat-doctor-secret-');
const namespaces = new Namespaces();
let container: ChildProcess;

const put = (path: string, text: string): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
};

test.before(async () => {
  mountTmpfs(root, { size: '4m', inodes: 200, mode: 0o755 });
  for (const path of ['usr/lib', 'usr/bin']) mkdirSync(join(root, path), { recursive: true });
  execFileSync('cp', ['/usr/bin/sleep', join(root, 'usr/bin')]);
  writeFileSync(join(secret, 'host.conf'), 'Section "ServerFlags"\nEndSection\n');
  container = spawn('unshare', ['--mount', 'sh', '-c', `mount --bind ${root} ${root}; echo up; read line; exit`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await new Promise((up) => container.stdout?.once('data', up));
});
test.after(() => {
  container.kill('SIGKILL');
  namespaces.close();
  execFileSync('umount', ['-l', root]);
  for (const directory of [root, secret]) rmSync(directory, { recursive: true });
});

/** Paths are given below `root`, which stands for the container's root directory. */
const below: Pick<Namespaces, 'listDirectory' | 'readFile'> = {
  listDirectory: (process, path, limit) => namespaces.listDirectory(process, join(root, path).slice(1), limit),
  readFile: (process, path, limit) => namespaces.readFile(process, join(root, path).slice(1), limit),
};
const facts = () => xorgFacts(below as Namespaces, refTo(container.pid));

test('a container without an Xorg has no hints', async () => {
  assert.is(await facts(), undefined);
});

test('what Xorg goes by is read, and no link of the container leads out of it', async () => {
  put('usr/lib/xorg/Xorg', '');
  put('usr/lib/xorg/modules/input/libinput_drv.so', '');
  put('usr/share/X11/xorg.conf.d/40-libinput.conf', 'libinput');
  put('usr/share/X11/xorg.conf.d/README', 'no configuration');
  put('etc/X11/xorg.conf', 'its own');
  symlinkSync(secret, join(root, 'etc/X11/xorg.conf.d'));
  symlinkSync(join(secret, 'host.conf'), join(root, 'usr/share/X11/xorg.conf.d/50-link.conf'));
  assert.equal(await facts(), {
    files: [
      { path: '/usr/share/X11/xorg.conf.d/40-libinput.conf', text: 'libinput' },
      { path: '/etc/X11/xorg.conf', text: 'its own' },
    ],
    drivers: ['libinput_drv.so'],
  });
});

test('a file that nobody writes to, or a huge one, is no trap', async () => {
  execFileSync('mkfifo', [join(root, 'usr/share/X11/xorg.conf.d/60-fifo.conf')]);
  const said = await facts();
  assert.ok(said !== undefined && 'unread' in said);
  assert.match(said.unread, /60-fifo\.conf is no plain file/);
});

test('a directory with many names is not read to its end', async () => {
  for (let index = 0; index < 50; index++) put(`many/${index}`, '');
  assert.is((await below.listDirectory(refTo(container.pid), 'many', 7))?.length, 7);
  assert.is(await below.listDirectory(refTo(container.pid), 'none', 7), undefined);
  assert.is(await below.listDirectory(refTo(container.pid), 'etc/X11/xorg.conf', 7), undefined);
  assert.is(await below.listDirectory(refTo(container.pid), 'etc/X11/xorg.conf.d', 7), undefined);
});

test('what the agent needs of the kernel is tried, and works where the other tests of this layer do', () => {
  const { tried } = kernelFacts(true);
  assert.equal(tried?.refusals, {
    openat2: undefined,
    pidfd: undefined,
    mounts: undefined,
    'device programs': undefined,
  });
  assert.equal([tried?.files, tried?.inits], [undefined, undefined]);
});

test('where the kernel does not tell of open files and of inits, the reason is known', () => {
  const kernel = new URL('../../agent/kernel/', import.meta.url).href;
  const script = `import { filesRefusal } from '${kernel}open-files.js';
import { watchInits } from '${kernel}inits.js';
console.log(filesRefusal(), watchInits());`;
  const node = [process.execPath, '--input-type=module', '--eval', script];
  const { stdout } = spawnSync('setpriv', ['--inh-caps=-all', '--bounding-set=-all', ...node], { encoding: 'utf8' });
  assert.match(stdout, /^bpf load .*: EPERM \{ ask: undefined, refusal: 'bpf load .*: EPERM' \}/);
});

test('what a seat uses of the processors is measured, and told apart from everything else', async () => {
  const name = `hotseat-doctor-${process.pid}`;
  const group = join(cgroupRoot(), name);
  mkdirSync(group);
  const busy = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
  const idle = `${name}-idle`;
  mkdirSync(join(cgroupRoot(), idle));
  try {
    writeFileSync(join(group, 'cgroup.procs'), String(busy.pid));
    const placed = [name, idle].map((path) => ({
      ...{ seat: path, container: { engine: 'lxc' as const, name: path }, amounts: {} },
      place: { kind: 'group' as const, group: path },
    }));
    const facts = await loadFacts(placed);
    const [uses, rests] = facts?.seats ?? [];
    assert.equal(uses?.seats, [name]);
    // On a machine on which much else runs it gets a part of one; never more than that.
    assert.ok((uses?.processors ?? 0) > 0.05 && (uses?.processors ?? 9) < 1.2, `${uses?.processors}`);
    assert.is(rests?.processors, 0);
    assert.ok((facts?.processors ?? 0) >= 1);
    assert.is(await loadFacts([]), undefined);
  } finally {
    const ended = new Promise((resolve) => busy.once('exit', resolve));
    busy.kill('SIGKILL');
    await ended;
    for (const path of [name, idle]) rmdirSync(join(cgroupRoot(), path));
  }
});

test('without an agent the doctor still speaks, to machines as well, and exits with 1', async () => {
  // No agent, no policy, no systemd: the test's own view of this machine has none.
  for (const place of ['/run', '/etc/hotseat'].filter(existsSync))
    execFileSync('mount', ['-t', 'tmpfs', 'none', place]);
  const { stdout, exitCode } = await hotseat('doctor', '--json');
  assert.is(exitCode, 1);
  const findings = JSON.parse(stdout) as Finding[];
  const problem = findings.find(({ area, level }) => area === 'service' && level === 'problem');
  assert.match(problem?.text ?? '', /hotseat\.service is|the agent is not running/);
  for (const finding of findings) assert.ok(finding.level === 'ok' || finding.remedy.length > 0, finding.text);
  const people = await hotseat('doctor');
  assert.is(people.exitCode, 1);
  assert.match(people.stdout, /^ok +kernel: Linux \S+ has openat2/m);
  assert.match(people.stdout, /^problem +service: /m);
});

test.run();
