// The real holder, beside a shared card whose requests never end. The card is a file of a file system that never answers, so that
// already opening it does not end.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Done,
  type HolderState,
  holderSocket,
  isDone,
  saidOf,
  type Wanted,
  type WantedSeats,
} from '../../agent/holder/messages.js';
import { cgroupOf, cgroupRoot } from '../../agent/kernel/cgroup.js';
import { checkout } from '../unit/hotseat.js';
import { children, connectTo, opened, openSeat, seatOpened } from './asking-seatd.js';
import { removeGroups } from './remove-groups.js';
import { type SilentFuse, silentFuse } from './silent-fuse.js';
import { unshared } from './unshared.js';
import { until } from './until.js';

unshared(import.meta.url);

const group = join(cgroupRoot(), `hotseat-silent-card-${process.pid}`);
const silent = '/run/silent';
const syspath = realpathSync('/sys/dev/char/1:3');
let fuse: SilentFuse;
let holder: ChildProcess;

test.before(async () => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  mkdirSync('/dev/input', { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/dev/input']);
  execFileSync('mknod', ['/dev/input/event0', 'c', '1', '3']);
  mkdirSync(group);
  mkdirSync(silent);
  fuse = await silentFuse(silent);
  await fuse.hush();
  holder = spawn(process.execPath, [join(checkout, 'dist/agent/holder/holder.js')], { stdio: 'ignore' });
  await until('the holder to listen', () => existsSync(holderSocket));
});

/** The agent's line. */
class Agent {
  private readonly socket = createConnection(holderSocket);
  private readonly done: Done[] = [];
  state: HolderState | undefined;

  constructor() {
    createInterface({ input: this.socket }).on('line', (line) => {
      const said = saidOf(line) as HolderState | Done;
      if (isDone(said)) this.done.push(said);
      else this.state = said;
    });
  }

  say(wanted: Wanted | WantedSeats): void {
    this.socket.write(`${JSON.stringify(wanted)}\n`);
  }

  async serve(wanted: WantedSeats): Promise<void> {
    this.say(wanted);
    await until('an answer', () => this.done.some(({ done }) => done === wanted.serial));
  }

  problemOf = (node: string): string => this.state?.cards.find((one) => one.node === node)?.problem ?? '';

  end(): void {
    this.socket.destroy();
  }
}

/** Milliseconds that something takes. */
async function took(action: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await action();
  return performance.now() - began;
}

/** The answer of the socket for leases. */
const leaseAnswer = () =>
  new Promise<string>((resolve, reject) => {
    const one = createConnection('/run/left.lease', () => one.write('lease\n'));
    one.on('data', (data) => resolve(String(data).trim()));
    one.on('error', reject);
  });

const card = join(silent, 'card1');
const other = '/dev/null';
const cards: Wanted['cards'] = [
  { node: card, number: '226:1', incarnation: '1', seats: [{ seat: 'left', connectors: ['DP-1'] }] },
  { node: other, number: '226:2', incarnation: '1', seats: [{ seat: 'right', connectors: ['DP-1'] }] },
];
const refusal = `${card} does not answer: a program that has an output of it keeps the kernel busy with it`;

test('a card that is kept busy without end holds up its own seats alone, and these are told', async () => {
  const agent = new Agent();
  const own = cgroupOf(process.pid);
  agent.say({ cards, sockets: [{ seat: 'left', path: '/run/left.lease', shown: undefined, cgroup: own }] });
  const served = { seat: 'right', path: '/run/right.sock', shown: undefined, cgroup: group, answersSwitch: true };
  const incarnation = String(statSync(syspath).ino);
  const input = {
    ...{ id: 'c1:3', path: '/dev/input/event0', kind: 'input' as const, number: '1:3' },
    ...{ syspath, incarnation },
  };
  const answer = await took(() => agent.serve({ serial: 1, seats: [{ ...served, devices: [input] }], isAll: true }));
  await until('the other card to be looked at', () => agent.problemOf(other) !== '');
  assert.match(agent.problemOf(other), /is another card/);
  const client = await connectTo('/run/right.sock', group);
  const open = await took(async () => {
    client.say(openSeat + opened('/dev/input/event0'));
    assert.equal([await client.next(), await client.next()], [seatOpened, '8006']);
    assert.is(await client.next(), '8003 01000000 1:3');
  });
  assert.ok(answer < 1000 && open < 1000, `the agent waited ${answer} ms, the input ${open} ms`);
  const waited = await took(async () => assert.is(await leaseAnswer(), JSON.stringify({ error: refusal })));
  assert.ok(waited < 4500, `${waited} ms`);
  await until('the state to say so', () => agent.problemOf(card) === refusal);
  const again = await took(async () => assert.is(await leaseAnswer(), JSON.stringify({ error: refusal })));
  assert.ok(again < 1000, `nobody waits twice: ${again} ms`);
  agent.say({ cards: [], sockets: [] });
  await until('the other card to go', () => agent.state?.cards.length === 1);
  assert.is(agent.problemOf(card), refusal, 'it counts as held: nobody gets its node');
  fuse.end();
  await until('the card to go', () => agent.state?.cards.length === 0);
  agent.end();
});

test.after(async () => {
  for (const child of [...children, holder]) child.kill('SIGKILL');
  fuse.end();
  await removeGroups([group]);
  setTimeout(() => process.exit(), 2000).unref();
});
test.run();
