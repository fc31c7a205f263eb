// The whole agent at rest: `hotseat run` as it is installed, with two seats and a keyboard each, looked at from outside.
//
// Prints one line of JSON: wake-ups a second over all threads of all its processes, and their memory.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cgroupRoot } from '../../../agent/kernel/cgroup.js';
import { unshared } from '../../namespace/unshared.js';
import { foundAsLxc } from './containers.js';
import { Keyboards, pathOf, places } from './keyboards.js';

export interface Idle {
  readonly seconds: number;
  /** Voluntary context switches of all threads, a second. */
  readonly wakeups: number;
  /** Resident memory of all processes together, MB: what they share counted once. Of each what is its own. */
  readonly memory: number;
  readonly processes: readonly { readonly name: string; readonly memory: number; readonly wakeups: number }[];
}

/** After this long, what was only needed for the start has ended or gone quiet, s. */
const settled = 20;
const seats = ['place0', 'place1'];

const [seconds = '60', main = join(import.meta.dirname, '../../../hotseat/main.js')] = process.argv.slice(2);
// As agent-verbs.test.ts: mounts, a network and a hierarchy of groups of its own.
if (process.env['HOTSEAT_TEST_INNER'] === undefined) {
  const root = cgroupRoot();
  const group = join(root, `hotseat-bench-idle-${process.pid}`);
  mkdirSync(group);
  writeFileSync(join(group, 'cgroup.procs'), String(process.pid));
  process.env['HOTSEAT_BENCH_IDLE'] = JSON.stringify([seconds, main]);
  process.on('exit', () => {
    writeFileSync(join(root, 'cgroup.procs'), String(process.pid));
    rmdirSync(group);
  });
}
unshared(import.meta.url, '--net', '--cgroup');
const [looked, program] = JSON.parse(process.env['HOTSEAT_BENCH_IDLE'] ?? '[]') as [string, string];

for (const place of [...places, '/var/lib', '/sys/fs/bpf', '/etc/udev/rules.d']) {
  if (existsSync(place)) execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', place]);
}
// The unified hierarchy alone: on a hybrid host, these groups are in no other one.
execFileSync('umount', ['--recursive', '--lazy', '/sys/fs/cgroup']);
execFileSync('mount', ['-t', 'cgroup2', 'cgroup2', '/sys/fs/cgroup']);
const scratch = mkdtempSync('/var/tmp/hotseat-bench-idle-');
const policies = join(scratch, 'policies');
mkdirSync(policies);
writeFileSync(join(policies, 'host.yaml'), 'console: open\n');
const keyboards = new Keyboards();
for (const [port, seat] of seats.entries()) {
  keyboards.plug(port);
  const devices = [{ label: 'keys', match: { ID_PATH: pathOf(port) } }];
  writeFileSync(
    join(policies, `${seat}.yaml`),
    JSON.stringify({ seat, container: { engine: 'lxc', name: seat }, devices }),
  );
}
// Nothing of it reaches the machine's udevd.
mkdirSync(join(scratch, 'bin'));
writeFileSync(join(scratch, 'bin/udevadm'), '#!/bin/sh\n', { mode: 0o755 });

const containers = await Promise.all(seats.map((seat) => foundAsLxc('/sys/fs/cgroup', seat)));
// As its first line starts it (env(1), -S).
const agent = spawn(program, ['run', '--policies', policies], {
  env: { ...process.env, PATH: `${join(scratch, 'bin')}:${dirname(process.execPath)}:${process.env['PATH']}` },
  stdio: ['ignore', 'pipe', 'inherit'],
});
try {
  await ready(agent);
  await sleep(settled * 1000);
  const before = look(agent.pid ?? 0);
  await sleep(Number(looked) * 1000);
  const after = look(agent.pid ?? 0);
  const processes = after.map(({ pid, name, own, switches }) => {
    const known = before.find((one) => one.pid === pid)?.switches ?? 0;
    return { name, memory: own / 1024, wakeups: (switches - known) / Number(looked) };
  });
  const wakeups = processes.reduce((all, one) => all + one.wakeups, 0);
  const idle: Idle = { seconds: Number(looked), wakeups, memory: memoryTogether(after), processes };
  console.log(JSON.stringify(idle));
} finally {
  agent.kill('SIGTERM');
  await new Promise((resolve) => agent.once('exit', resolve));
  for (const container of containers) await container.end();
  rmSync(scratch, { recursive: true });
}

/** Settles when every seat has its keyboard. */
async function ready(child: ChildProcess): Promise<void> {
  let said = '';
  child.stdout?.on('data', (data: Buffer) => {
    said += data.toString();
  });
  const isBound = (seat: string): boolean =>
    said.split('\n').some((line) => line.includes('"msg":"bound"') && line.includes(`"container":"${seat}"`));
  for (const end = Date.now() + 60_000; !seats.every(isBound) || !said.includes('"msg":"ready"'); await sleep(50)) {
    if (child.exitCode !== null || Date.now() > end)
      throw new Error(`the agent did not come up:\n${said.slice(-2000)}`);
  }
}

interface Look {
  readonly pid: number;
  readonly name: string;
  readonly switches: number;
  /** Resident memory by mapping, kB: of this process alone, and what others may share with it. */
  readonly own: number;
  readonly shared: ReadonlyMap<string, number>;
}

/** A process and all below it (proc_pid_status(5), proc_pid_smaps(5)). */
function look(pid: number): Look[] {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const read = (file: string): string => readFileSync(`/proc/${pid}/${file}`, 'utf8');
  const counts = tasks.map((task) =>
    Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(read(`task/${task}/status`))?.[1]),
  );
  const children = tasks.flatMap((task) => read(`task/${task}/children`).split(' ').filter(Boolean).map(Number));
  const words = read('cmdline').split('\0');
  const name =
    words
      .findLast((word) => word.endsWith('.js'))
      ?.split('/')
      .at(-1) ??
    words[0] ??
    '';
  const switches = counts.reduce((all, count) => all + count, 0);
  return [{ pid, name, switches, ...memoryOf(read('smaps')) }, ...children.flatMap(look)];
}

/** Shared memory is counted once, and not divided by how many other Node processes this machine happens to run. */
function memoryOf(smaps: string): Pick<Look, 'own' | 'shared'> {
  const shared = new Map<string, number>();
  let own = 0;
  let mapping = '';
  for (const line of smaps.split('\n')) {
    const [, key, kB] = /^(\w+):\s+(\d+) kB$/.exec(line) ?? [];
    if (key === undefined) {
      const [, , offset, device, inode] = line.split(/\s+/);
      if (inode !== undefined && /^\d+$/.test(inode)) mapping = `${device} ${inode} ${offset}`;
    } else if (key.startsWith('Private_')) own += Number(kB);
    else if (key.startsWith('Shared_')) shared.set(mapping, (shared.get(mapping) ?? 0) + Number(kB));
  }
  return { own, shared };
}

/** All processes together, MB. */
function memoryTogether(all: readonly Look[]): number {
  const shared = new Map<string, number>();
  for (const one of all) {
    for (const [mapping, kB] of one.shared) shared.set(mapping, Math.max(shared.get(mapping) ?? 0, kB));
  }
  const own = all.reduce((sum, one) => sum + one.own, 0);
  return [...shared.values()].reduce((sum, kB) => sum + kB, own) / 1024;
}
