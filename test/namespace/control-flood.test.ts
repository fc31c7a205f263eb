// An ordinary user asks without end: nobody else notices.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ask } from '../../agent/control/client.js';
import { Counts } from '../../agent/control/metrics.js';
import { answerer, type Rooms } from '../../agent/control/requests.js';
import { ControlServer } from '../../agent/control/server.js';
import { Engines } from '../../agent/engines/all.js';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { compose } from '../../agent/policy/load.js';
import { DeviceTable } from '../../agent/udev/table.js';
import { monotonic, Waits } from './longest-wait.js';
import { standInController } from './stand-in-controller.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

const nobody = 65_534;
const path = '/run/control.sock';
const log = pino({ level: 'silent' });
const perConnection = 1300;
/** How often each user has been answered. */
const answers = new Map<number, number>();
let server: ControlServer;

/** Connections of nobody's, each with as many requests as one line buffer of the agent takes, none of which it waits for. */
function flood(connections: number): ChildProcess {
  const client = `
    const line = '{"verb":"wait","container":"left","timeoutMs":0}\\n';
    for (let n = 0; n < ${connections}; n++) {
      const socket = require('net').connect('${path}');
      socket.on('connect', () => { socket.write(line.repeat(${perConnection})); console.log('up'); }).resume();
    }`;
  return runAs(nobody, client);
}

function runAs(uid: number, script: string): ChildProcess {
  const as = ['--reuid', String(uid), '--regid', String(uid), '--clear-groups'];
  return spawn('setpriv', [...as, process.execPath, '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
}

const said = (child: ChildProcess): Promise<string> =>
  new Promise((resolve) => child.stdout?.once('data', (data) => resolve(String(data))));

/** Connects and closes without end. */
const knocks = `
  let up = false;
  const knock = () => {
    const socket = require('net').connect('${path}');
    socket.on('connect', () => { if (!up) console.log('up'); up = true; socket.destroy(); });
    socket.on('error', () => undefined).on('close', () => setImmediate(knock));
  };
  for (let n = 0; n < 300; n++) knock();`;

/** Opens connections and keeps them. */
const opens = `
  for (let n = 0; n < 3000; n++) require('net').connect('${path}').on('error', () => undefined);
  setTimeout(() => console.log('up'), 100);
  setInterval(() => undefined, 1000);`;

/** Clients that go on until all are told to end, and are then waited for. */
async function end(children: readonly ChildProcess[]): Promise<void> {
  const ended = children.map((child) => new Promise((resolve) => child.once('exit', resolve)));
  for (const child of children) child.kill('SIGKILL');
  await Promise.all(ended);
}

test.before(async () => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run']);
  const table = new DeviceTable();
  const house = standInController(log, table);
  const texts = ['left', 'right'].map((seat, n) => ({
    name: `${seat}.yaml`,
    text: JSON.stringify({
      seat,
      container: { engine: 'lxc', name: seat },
      devices: [{ label: 'a hub', match: { port: `pci-0000:00:14.0-usb-0:${n + 1}` } }],
    }),
  }));
  const loaded = compose(texts, 'unversioned', 'test');
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
  house.adopt(loaded.policy);
  const rooms = {
    ...{
      controller: house,
      assignments: house.assignments,
      table,
      engines: new Engines(cgroupRoot(), { commandLine: async () => undefined }),
      counts: new Counts(),
      manager: { errors: [] },
    },
    ...{ book: { loans: [] }, consoles: { leaks: () => [] }, udev: { stats: {} }, overrides: {}, trail: {} },
    // None of the containers runs.
    shares: { of: () => undefined },
    ...{ outputs: { of: () => [] }, descriptors: { statusOf: () => undefined } },
  };
  const answer = answerer(rooms as unknown as Rooms);
  server = new ControlServer(
    path,
    (request, by) => {
      answers.set(by.uid, (answers.get(by.uid) ?? 0) + 1);
      return answer(request, by);
    },
    log,
  );
  await server.listen();
});

for (const connections of [1, 32]) {
  test(`${connections} connection(s) full of waits: events and root do not wait for them`, async () => {
    answers.clear();
    const waits = await Waits.start();
    const client = flood(connections);
    await new Promise((resolve) => client.stdout?.once('data', resolve));
    const began = monotonic();
    const asks: [number, number][] = [];
    while (monotonic() - began < 3000) {
      const asked = monotonic();
      await ask(path, { verb: 'status' }, 10_000);
      asks.push([asked, monotonic()]);
    }
    const seconds = (monotonic() - began) / 1000;
    const { busy: worst, of } = await waits.end();
    const slowest = Math.max(...asks.map(of));
    client.kill('SIGKILL');
    const answered = answers.get(nobody) ?? 0;
    console.log(
      `${connections}: ${answered} answered in ${seconds.toFixed(1)} s; the event loop was busy for ${worst.toFixed(0)} ms at a time, root waited for ${slowest.toFixed(0)} ms`,
    );
    assert.ok(answered > 0, 'nobody was answered: this shows nothing');
    assert.ok(answered < connections * perConnection, 'the flood was over at once: this shows nothing');
    // Ten times the measured time.
    assert.ok(worst < 300, `the event loop was busy for ${worst} ms at a time`);
    assert.ok(slowest < 500, `root waited for ${slowest} ms`);
  });
}

test('others connect and close without end, and hold what they get: every ask of root is answered', async () => {
  const children = [runAs(nobody, knocks), runAs(nobody, knocks), runAs(nobody, knocks), runAs(nobody, opens)];
  await Promise.all(children.map(said));
  const waits = await Waits.start();
  const busy = process.cpuUsage();
  const began = performance.now();
  const failed: string[] = [];
  let asked = 0;
  const asks: [number, number][] = [];
  for (; performance.now() - began < 4000; asked += 1) {
    const from = monotonic();
    await ask(path, { verb: 'status' }, 10_000).catch((error: Error) => failed.push(error.message));
    asks.push([from, monotonic()]);
    await sleep(20);
  }
  const { user, system } = process.cpuUsage(busy);
  const { busy: worst, of } = await waits.end();
  const slowest = Math.max(...asks.map(of));
  await end(children);
  console.log(
    `knocking: root asked ${asked} times and waited for ${slowest.toFixed(0)} ms; the loop was busy for ${worst.toFixed(0)} ms at a time; ${((user + system) / 10 / (performance.now() - began)).toFixed(0)} % of a processor`,
  );
  assert.equal(failed, []);
  assert.ok(asked > 20, `root asked only ${asked} times`);
  assert.ok(worst < 300, `the event loop was busy for ${worst} ms at a time`);
  assert.ok(slowest < 2000, `root waited for ${slowest} ms`);
  // And it has not shut itself up: the next user is answered as soon as the flood is over.
  const late = runAs(4321, once);
  assert.match(await said(late), /"ok":true/);
  await end([late]);
});

/** One question, asked again while there is no room. */
const once = `
  const one = () => {
    const socket = require('net').connect('${path}');
    socket.on('connect', () => socket.write('{"verb":"wait","container":"left","timeoutMs":0}\\n'));
    socket.on('error', () => setTimeout(one, 50)).on('data', (data) => { console.log(String(data)); });
  };
  one();
  setInterval(() => undefined, 1000);`;

test('many users hold all the connections that each may have: the agent keeps its descriptors, and a newcomer is answered', async () => {
  const before = readdirSync('/proc/self/fd').length;
  // Root in there becomes one user after the other: the kernel notes who connects (unix(7), SO_PEERCRED).
  const crowd = spawn(
    process.execPath,
    [
      '-e',
      `
      (async () => {
        for (let uid = 100000; uid < 100030; uid++) {
          for (let n = 0; n < 32; n++) {
            process.seteuid(uid);
            const socket = require('net').connect('${path}');
            process.seteuid(0);
            await new Promise((resolve) => socket.on('connect', resolve).on('error', resolve).on('close', resolve));
            socket.resume();
          }
        }
        console.log('up');
        setInterval(() => undefined, 1000);
      })();`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await said(crowd);
  // A client that was told to go has a second for it.
  await sleep(1500);
  const held = readdirSync('/proc/self/fd').length - before;
  const newcomer = runAs(4322, once);
  const answer = await said(newcomer);
  await ask(path, { verb: 'status' }, 2000);
  await end([crowd, newcomer]);
  console.log(`30 users with 32 connections each: ${held} descriptors`);
  assert.ok(held > 100, `only ${held}: this shows nothing`);
  assert.ok(held <= 260, `${held} descriptors`);
  assert.match(answer, /"ok":true/);
});

test('root has a socket of its own, which nobody else can reach', async () => {
  assert.is(statSync('/run/root').mode & 0o777, 0o700);
  assert.is(statSync('/run/root/control.sock').mode & 0o777, 0o600);
  assert.is(statSync(path).mode & 0o777, 0o666);
  const refused = runAs(
    nobody,
    "require('net').connect('/run/root/control.sock').on('error', ({ code }) => console.log(code))",
  );
  assert.is((await said(refused)).trim(), 'EACCES');
});

test.after(() => server.close());
test.run();
