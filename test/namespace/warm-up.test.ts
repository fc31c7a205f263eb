// The walk at start: what it leaves, what it holds up, and whether the first event finds all code loaded.

import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { join, relative } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { isSysError } from '../../agent/kernel/errors.js';
import { syscall } from '../../agent/kernel/libc.js';
import { runtime } from '../../agent/seat/layout.js';
import { warmUp, warmUpWhen } from '../../agent/warm-up/warm-up.js';
import { Agent } from '../bench/native/agent.js';
import { Containers } from '../bench/native/containers.js';
import { Keyboards, pathOf, places } from '../bench/native/keyboards.js';
import { childrenOf } from './children-of.js';
import { unshared } from './unshared.js';

unshared(import.meta.url, '--net');

const root = join(cgroupRoot(), `hotseat-warm-up-${process.pid}`);
const containers = new Containers(root);
const lines: string[] = [];
const log = pino({ level: 'debug' }, { write: (line) => void lines.push(line) });
let keyboards: Keyboards;
let agent: Agent;

test.before(() => {
  for (const place of places) execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', place]);
  keyboards = new Keyboards();
  mkdirSync(root);
});

test.after(async () => {
  await agent.close();
  await containers.end();
  rmdirSync(root);
});

/** Counts calls of the agent's functions. */
class Calls {
  private constructor(private readonly session: Session) {}

  static async count(): Promise<Calls> {
    const session = new Session();
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
    return new Calls(session);
  }

  /** The functions that were called since the last time. */
  async take(): Promise<Set<string>> {
    const { result } = await this.session.post('Profiler.takePreciseCoverage');
    const at = new URL('../../agent', import.meta.url).href;
    return new Set(
      result.flatMap(({ url, functions }) =>
        functions.flatMap(({ functionName, ranges: [range] }) =>
          url.startsWith(at) && range !== undefined && range.count > 0
            ? [`${relative(at, url)} ${functionName} at ${range.startOffset}`]
            : [],
        ),
      ),
    );
  }

  end(): void {
    this.session.disconnect();
  }
}

test('all code that the first event needs has run before it', async () => {
  const calls = await Calls.count();
  agent = new Agent(root, '/run/trail');
  await agent.start([{ seat: 'left', ports: [pathOf(1)] }], await containers.start(['left']));
  const before = await calls.take();
  agent.tell(keyboards.say('add', keyboards.plug(1)));
  await agent.idle();
  const first = await calls.take();
  calls.end();
  assert.ok(agent.isGranted('left', 13, 64));
  for (const name of ['makeNode', 'writeRecord', 'makeLink', 'sendUevent', 'grant', 'put', 'reevaluate'])
    assert.ok(
      [...first].some((one) => one.includes(` ${name} `)),
      name,
    );
  // Which ids a container has is read of its process, and that one has none.
  const missing = [...first].filter((one) => !before.has(one) && !one.startsWith('engines/id-map.js'));
  assert.equal(missing, []);
});

/** All that can be seen of the agent and its seats. */
function everything(): Record<string, unknown> {
  const files = readdirSync('/run', { recursive: true, encoding: 'utf8' }).sort();
  return {
    files: files.map((file) => {
      const stat = lstatSync(join('/run', file));
      // Something came and went in one of them.
      return stat.isDirectory() ? file : `${file} ${stat.mtimeMs}`;
    }),
    mounts: readFileSync('/proc/self/mountinfo', 'utf8'),
    groups: readdirSync(root, { recursive: true, encoding: 'utf8' }).sort(),
    children: childrenOf(process.pid),
    descriptors: readdirSync('/proc/self/fd').length,
    maps: mapsOfOurs(),
    trail: readFileSync('/run/trail', 'utf8'),
    told: agent.announced.length,
  };
}

/** How many maps of ours are open here (bpf(2), /proc/PID/fdinfo). */
const mapsOfOurs = (): number =>
  readdirSync('/proc/self/fdinfo').filter((fd) => {
    try {
      return /^map_id:/m.test(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'));
    } catch {
      return false;
    }
  }).length;

/** Listens to the kernel and to udevd in this network; a text for each message that waits. */
function listener(): () => string[] {
  const socket = syscall('socket', 'uevents', 16, 3 | 0o4000 | 0o2000000, 15);
  const address = Buffer.alloc(12);
  address.writeUInt16LE(16, 0);
  address.writeUInt32LE(3, 8);
  syscall('bind', 'uevents', socket, address, address.length);
  return () => {
    const heard: string[] = [];
    for (;;) {
      const buffer = Buffer.alloc(16_384);
      try {
        const length = syscall('recvfrom', 'uevents', socket, buffer, buffer.length, 0, 0, 0);
        heard.push(buffer.toString('latin1', 0, length));
      } catch (error) {
        if (isSysError(error, 'EAGAIN')) return heard;
        throw error;
      }
    }
  };
}

test('nothing is left of it, and nobody hears of it', async () => {
  const heard = listener();
  const speaker = syscall('socket', 'uevents', 16, 3 | 0o2000000, 15);
  for (const datagram of Agent.datagrams(keyboards.say('add', keyboards.plug(2)))) Agent.send(speaker, datagram);
  assert.is(heard().length, 2, 'who speaks in this network is heard');
  await warmUp(log);
  const before = everything();
  await warmUp(log);
  assert.equal(everything(), before);
  assert.equal(heard(), []);
  assert.equal(lines, []);
  mkdirSync(join(runtime, 'warm-up/seat/dev'), { recursive: true });
  await warmUp(log);
  assert.not.ok(readdirSync(runtime).includes('warm-up'), 'nor of one whose agent was killed');
});

test('an event that comes meanwhile does not wait for its end', async () => {
  const order: string[] = [];
  const walk = warmUp(log).then(() => order.push('walk'));
  await turn();
  assert.ok(readdirSync(runtime).includes('warm-up'), 'it is under way');
  const keyboard = keyboards.plug(1);
  agent.tell(keyboards.say('change', keyboard));
  await agent.idle().then(() => order.push('event'));
  await walk;
  assert.equal(order, ['event', 'walk']);
  assert.equal(lines, []);
});

test('it begins when nobody is busy, and not once the agent stops', async () => {
  const calls = await Calls.count();
  const isWalked = async () => [...(await calls.take())].some((one) => one.includes(' makeNode '));
  let busy = 2;
  await warmUpWhen(() => busy-- === 0, log, new AbortController().signal);
  assert.is(busy, -1);
  assert.ok(await isWalked());
  const stop = new AbortController();
  const over = warmUpWhen(() => true, log, stop.signal);
  stop.abort();
  await over;
  assert.not.ok(await isWalked());
  calls.end();
});

test('where it cannot be walked, nothing fails', async () => {
  execFileSync('mount', ['--bind', '-o', 'ro', runtime, runtime]);
  try {
    await warmUp(log);
  } finally {
    execFileSync('umount', [runtime]);
  }
  assert.is(lines.length, 1);
  assert.match(lines[0] ?? '', /"level":20.*EROFS/);
});

test.run();
