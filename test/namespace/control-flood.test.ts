// An ordinary user asks without end: nobody else notices.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
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
import { standInHouse } from './stand-in-house.js';
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
  const as = ['--reuid', String(nobody), '--regid', String(nobody), '--clear-groups'];
  return spawn('setpriv', [...as, process.execPath, '-e', client], { stdio: ['ignore', 'pipe', 'inherit'] });
}

test.before(async () => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run']);
  const table = new DeviceTable();
  const house = standInHouse(log, table);
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
      house,
      table,
      engines: new Engines(cgroupRoot(), { commandLine: async () => undefined }),
      counts: new Counts(),
      keeper: { errors: [] },
    },
    ...{ book: { loans: [] }, consoles: { leaks: () => [] }, udev: { stats: {} }, lender: {}, trail: {} },
    // None of the containers runs.
    shares: { of: () => undefined },
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
    let last = performance.now();
    let worst = 0;
    const timer = setInterval(() => {
      worst = Math.max(worst, performance.now() - last);
      last = performance.now();
    }, 10);
    const client = flood(connections);
    await new Promise((resolve) => client.stdout?.once('data', resolve));
    const began = performance.now();
    let slowest = 0;
    while (performance.now() - began < 3000) {
      const asked = performance.now();
      await ask(path, { verb: 'status' }, 10_000);
      slowest = Math.max(slowest, performance.now() - asked);
    }
    const seconds = (performance.now() - began) / 1000;
    clearInterval(timer);
    client.kill('SIGKILL');
    const answered = answers.get(nobody) ?? 0;
    console.log(
      `${connections}: ${answered} answered in ${seconds.toFixed(1)} s; the event loop stood still for ${worst.toFixed(0)} ms, root waited for ${slowest.toFixed(0)} ms`,
    );
    assert.ok(answered > 0, 'nobody was answered: this shows nothing');
    assert.ok(answered < connections * perConnection, 'the flood was over at once: this shows nothing');
    // Tenfold what was measured.
    assert.ok(worst < 300, `the event loop stood still for ${worst} ms`);
    assert.ok(slowest < 500, `root waited for ${slowest} ms`);
  });
}

test.after(() => server.close());
test.run();
