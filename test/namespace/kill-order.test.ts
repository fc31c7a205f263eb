// Whom the kernel ends when memory is used up: real processes in real groups. Here "the PC" is a group with little memory.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { scores } from '../../agent/core/kill-order.js';
import type { Container } from '../../agent/engines/engine.js';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { oomScoreOf } from '../../agent/kernel/oom-score.js';
import { processKey } from '../../agent/kernel/process-key.js';
import { readOptional } from '../../agent/kernel/read.js';
import { RecordFile } from '../../agent/kernel/record-file.js';
import { isScore } from '../../agent/shares/former.js';
import { KillOrder } from '../../agent/shares/kill-order.js';
import { childrenOf } from './children-of.js';
import { removeGroups } from './remove-groups.js';
import { until } from './until.js';

const root = cgroupRoot();
const group = join(root, `hotseat-kill-order-${process.pid}`);
/** Where memory is bounded: in the unified hierarchy, or in that of cgroups v1. */
const v1 = '/sys/fs/cgroup/memory';
const isUnified = !existsSync(join(v1, 'memory.limit_in_bytes'));
const pc = isUnified ? group : join(v1, `hotseat-kill-order-${process.pid}`);
const pcBytes = 400 * 2 ** 20;
const scratch = mkdtempSync(join(tmpdir(), 'hotseat-kill-order-'));
const record = () => new RecordFile(join(scratch, 'scores.json'), isScore);
const log = pino({ level: 'silent' });
const started: ChildProcess[] = [];
/** CAP_SYS_RESOURCE (linux/capability.h), which not every root has. */
const mayPin =
  ((BigInt(`0x${/^CapEff:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]}`) >> 24n) & 1n) === 1n;

/** A program that has so much memory, and says so; without an amount, it takes all that it can get. */
const taking = (megabytes?: number): string[] => {
  const later = megabytes === undefined ? 'piece' : '() => held';
  const first = `for (let at = 0; at < ${(megabytes ?? 0) / 4}; at++) piece();`;
  const work = 'const held = []; const piece = () => held.push(Buffer.alloc(4 << 20, 1));';
  return [process.execPath, '-e', `${work} ${first} console.log("up"); setInterval(${later}, 5);`];
};

/** Starts a program in some groups; its first word is waited for. */
async function start(argv: readonly string[], ...groups: readonly string[]): Promise<ChildProcess> {
  const enter = groups.map((path) => `echo $$ > ${path}/cgroup.procs`).join(' && ');
  const child = spawn('sh', ['-c', `${enter} && exec "$@"`, 'sh', ...argv], { stdio: ['pipe', 'pipe', 'inherit'] });
  started.push(child);
  await new Promise((resolve, reject) => {
    child.stdout?.once('data', resolve);
    child.once('exit', (code, signal) => reject(new Error(`${argv.join(' ')} ended: ${code} ${signal}`)));
  });
  return child;
}

interface Stand {
  readonly container: Container;
  /** The program that made its pid namespace, as an engine's helper does: in its group, and one of the host's. */
  readonly helper: number;
  /** Has its init start a program, and waits until `ready` is printed; the program's pid. */
  readonly run: (argv: readonly string[], ready?: string) => Promise<number>;
  /** The words that a shell in it prints. */
  readonly ask: (script: string) => Promise<string>;
}

/** A container with namespaces of users and pids of its own, whose init does what it is told on its input. */
async function seat(name: string): Promise<Stand> {
  const cgroup = join(group, `lxc.payload.${name}`);
  mkdirSync(cgroup);
  const namespaces = ['unshare', '--user', '--map-root-user', '--pid', '--fork', '--kill-child'];
  const groups = [cgroup, ...(isUnified ? [] : [pc])];
  const helper = await start(
    [...namespaces, 'sh', '-c', 'echo up; while read -r line; do eval "$line"; done'],
    ...groups,
  );
  const [pid = 0] = childrenOf(helper.pid);
  const container: Container = {
    ...{ engine: 'lxc', name, user: undefined, pid, key: processKey(pid) ?? '', cgroup },
    ...{ uid: 0, gid: 0, state: 'running', rooted: true, openable: true },
  };
  let said = '';
  helper.stdout?.on('data', (text: Buffer) => {
    said += String(text);
  });
  const answer = async (line: string, end: string): Promise<string> => {
    said = '';
    helper.stdin?.write(`${line}\n`);
    await until(`an answer to ${line}`, () => said.includes(end));
    return said.slice(0, said.indexOf(end)).trim();
  };
  return {
    ...{ container, helper: helper.pid ?? 0 },
    ask: (script) => answer(`sh -c '${script}' 2>&1; echo done`, 'done'),
    run: async (argv, ready = 'begun') => {
      const before = childrenOf(pid);
      await answer(`${argv.map((word) => `'${word}'`).join(' ')} & echo begun`, ready);
      return childrenOf(pid).find((child) => !before.includes(child)) ?? 0;
    },
  };
}

let left: Stand;
let right: Stand;
let host: ChildProcess;
let order: KillOrder;

const policy = {
  seats: ['left', 'right'].map((seat) => ({
    ...{ seat, container: { engine: 'lxc' as const, name: seat, user: undefined }, rules: [], file: `${seat}.yaml` },
  })),
} as const;

test.before(async () => {
  mkdirSync(group);
  if (isUnified) {
    writeFileSync(join(group, 'memory.max'), String(pcBytes));
    writeFileSync(join(group, 'memory.swap.max'), '0');
  } else {
    mkdirSync(pc);
    writeFileSync(join(pc, 'memory.limit_in_bytes'), String(pcBytes));
  }
  const hosts = join(group, 'host');
  mkdirSync(hosts);
  host = await start(taking(240), hosts, ...(isUnified ? [] : [pc]));
  left = await seat('left');
  right = await seat('right');
});

test.after(async () => {
  order.close();
  for (const child of started) child.kill('SIGKILL');
  await removeGroups([group, ...['host', 'lxc.payload.left', 'lxc.payload.right'].map((name) => join(group, name))]);
  if (!isUnified) await removeGroups([pc]);
  rmSync(scratch, { recursive: true });
});

/** An agent that has just started. */
async function agent(): Promise<void> {
  order = new KillOrder({ root, log, record: record() });
  order.adopt(policy);
  order.populate([left.container, right.container]);
  await order.run();
}

test('all programs of a seat come before those of the host, also later ones and those of an engine', async () => {
  const before = await left.run(['sleep', '601']);
  await agent();
  assert.is(oomScoreOf(left.container.pid), scores.seat);
  assert.is(oomScoreOf(before), scores.seat);
  assert.is(oomScoreOf(await left.run(['sleep', '602'])), scores.seat);
  assert.is(oomScoreOf(left.helper), 0, 'a program of the engine in the group of the container');
});

test('no program of a seat gets out of that, and one that wants to be ended before others stays so', async () => {
  const lower = await right.ask('echo 0 > /proc/self/oom_score_adj; cat /proc/self/oom_score_adj');
  if (mayPin) assert.match(lower, new RegExp(`\\b${scores.seat}$`));
  else console.log('the right to pin a value is missing here: the lab shows that');
  assert.is(await right.ask('echo 700 > /proc/self/oom_score_adj; cat /proc/self/oom_score_adj'), '700');
});

test('a seat that takes all memory loses the program that did; host, neighbour and its own others stay', async () => {
  const beside = await left.run(taking(40), 'up');
  const other = await right.run(['sleep', '603']);
  const hog = await right.run(taking(), 'up');
  await until('the hog to be ended', () => oomScoreOf(hog) === undefined || isDead(hog));
  // Without an order it is the largest of all that is ended: the host’s program, with more than the hog can get.
  for (const pid of [host.pid ?? 0, beside, other, left.container.pid, right.container.pid, right.helper])
    assert.not.ok(isDead(pid), readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
});

const isDead = (pid: number): boolean => /^\d+ \(.*\) [ZX] /.test(readOptional(`/proc/${pid}/stat`) ?? '0 () X ');

test('an agent that starts again finds the former values on record, and release puts them back', async () => {
  order.close();
  const asked = await right.run(['sh', '-c', 'echo 800 > /proc/self/oom_score_adj; exec sleep 604']);
  await until('its own value', () => oomScoreOf(asked) === 800);
  // Somebody who may do so has given it a value before there was an agent, such as the service manager in the container.
  const spared = await right.run(['sleep', '605']);
  writeFileSync(`/proc/${spared}/oom_score_adj`, '300');
  await agent();
  assert.is(oomScoreOf(spared), scores.seat);
  order.close();
  order = new KillOrder({ root, log, record: record() });
  order.populate([left.container, right.container]);
  await order.putBack();
  assert.is(oomScoreOf(left.container.pid), 0);
  assert.is(oomScoreOf(right.container.pid), 0);
  assert.is(oomScoreOf(asked), 800, 'what a program said itself');
  assert.is(oomScoreOf(spared), 300, 'what it had itself, and not what init had');
  assert.equal([...record().read()], []);
});

test('where no agent has run since the start of the PC, release needs no place for a record', async () => {
  const nowhere = new RecordFile<number>('/nonexistent/scores.json', isScore);
  const idle = new KillOrder({ root, log, record: nowhere });
  idle.populate([left.container]);
  await idle.putBack();
});

test.run();
