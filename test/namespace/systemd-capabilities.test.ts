import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { mountTmpfs } from '../../agent/kernel/mount.js';
import { type Place, probes } from './capability-probe.js';
import { unshared } from './unshared.js';

unshared(import.meta.url, '--net');

const unit = readFileSync(resolve(import.meta.dirname, '../../../rules/hotseat.service'), 'utf8');
const granted = [...unit.matchAll(/^CapabilityBoundingSet=(.*)$/gm)]
  .flatMap(([, names]) => (names ?? '').split(/\s+/))
  .map((name) => name.replace(/^CAP_/, ''));
/** Without a virtual terminal nothing can be muted, and nothing needs leave to do it. */
const hasConsole = existsSync('/sys/class/tty/tty1') && existsSync('/dev/tty1');
/** Not every root has all capabilities; nobody can give away one that he has not. */
const own = BigInt(`0x${/^CapBnd:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]}`);
const hasResource = ((own >> 24n) & 1n) === 1n;
const testable = granted.filter(
  (name) => (name !== 'SYS_TTY_CONFIG' || hasConsole) && (name !== 'SYS_RESOURCE' || hasResource),
);

const shifted = 1_000_000;
const scratch = mkdtempSync('/tmp/hotseat-capabilities-');
const cgroup = join(cgroupRoot(), `hotseat-capabilities-${process.pid}`);
const sticky = join(scratch, 'sticky');
let container: ChildProcess;

test.before(async () => {
  mountTmpfs(scratch, { size: '4m', inodes: 100, mode: 0o755 });
  container = spawn('unshare', ['--mount', '--net', 'sh', '-c', 'mount -t tmpfs run /run; echo up; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((up) => container.stdout?.once('data', up));
  mkdirSync(cgroup);
  for (const file of ['', 'cgroup.freeze']) chownSync(join(cgroup, file), shifted, shifted);
  // As in /sys/fs/cgroup/user.slice/…: an ordinary user's, and read only for everybody else.
  chmodSync(join(cgroup, 'cgroup.freeze'), 0o644);
  mkdirSync(sticky);
  chmodSync(sticky, 0o1777);
  chownSync(sticky, shifted, shifted);
});

test.after(() => {
  container.kill('SIGKILL');
  rmdirSync(cgroup);
  execFileSync('umount', ['-l', scratch]);
  rmdirSync(scratch);
});

/** The answers of the probes under a bounding set, by name. */
function underSet(capabilities: readonly string[], names: readonly string[]): Record<string, string> {
  const theirs = join(sticky, 'theirs');
  rmSync(theirs, { force: true });
  writeFileSync(theirs, '');
  chownSync(theirs, shifted + 1, shifted + 1);
  const place: Place = { scratch, container: container.pid ?? 0, cgroup, sticky, shifted };
  const set = ['-all', ...capabilities.map((name) => `+${name.toLowerCase()}`)].join(',');
  const probe = fileURLToPath(new URL('./capability-probe.js', import.meta.url));
  const command = [
    '--bounding-set',
    set,
    '--inh-caps',
    '-all',
    process.execPath,
    probe,
    JSON.stringify(place),
    ...names,
  ];
  const lines = execFileSync('setpriv', command, { encoding: 'utf8', timeout: 60_000 }).trim().split('\n');
  return Object.fromEntries(lines.map((line) => [line.split(' ')[0] ?? '', line.slice(line.indexOf(' ') + 1)]));
}

test('the unit has the capabilities that are probed here, and no others', () => {
  assert.equal([...granted].sort(), Object.keys(probes).sort());
});

test('with the unit’s set everything is allowed', () => {
  assert.equal(underSet(granted, testable), Object.fromEntries(testable.map((name) => [name, 'ok'])));
});

for (const name of testable) {
  test(`without ${name} something is refused`, () => {
    const said = underSet(
      granted.filter((other) => other !== name),
      [name],
    );
    console.log(`without ${name}: ${said[name]}`);
    assert.match(said[name] ?? 'nothing', /^(EPERM|EACCES): /);
  });
}

test.run();
