import { execFileSync } from 'node:child_process';
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { unrecorded } from '../../agent/core/audit.js';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { DeviceMap } from '../../agent/kernel/device-map.js';
import { noDescriptors } from '../../agent/seat/descriptors.js';
import { SeatDirectory } from '../../agent/seat/directory.js';
import { Grants } from '../../agent/seat/grants.js';
import { Journal } from '../../agent/seat/journal.js';
import { journalRoot } from '../../agent/seat/layout.js';
import { SeatWorker } from '../../agent/seat/worker.js';
import { hands } from './hands.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

const root = join(cgroupRoot(), `hotseat-worker-${process.pid}`);
let map: DeviceMap;
let worker: SeatWorker;
let runs = 0;

test.before(() => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  mkdirSync(root);
  map = DeviceMap.open({ cgroupRoot: root });
  worker = new SeatWorker('left', {
    log: pino({ level: 'silent' }),
    directory: new SeatDirectory('left'),
    journal: new Journal(journalRoot('left'), (file) => assert.unreachable(file)),
    grants: new Grants(map),
    descriptors: noDescriptors,
    tell: () => undefined,
    audit: unrecorded,
    measure: () => {
      runs += 1;
    },
    present: () => false,
    mayHave: () => true,
    keepers: () => [],
    ...hands(),
    receivedNs: () => undefined,
    released: () => undefined,
  });
});

test.after(async () => {
  await worker.close();
  map.remove();
  map.close();
  rmdirSync(root);
});

test('a seat is busy while it is brought up to date, and not before or after', async () => {
  assert.is(worker.busyMs, undefined);
  const run = worker.trigger();
  assert.ok((worker.busyMs ?? -1) >= 0);
  await run;
  assert.is(worker.busyMs, undefined);
});

test('a run that fails is over as well, and the time of the next one begins again', async () => {
  const unit = '/sys/devices/test/input/input1';
  const wish = () => {
    throw new Error('no such thing');
  };
  worker.wantAll(new Map([[unit, wish]]), []);
  await worker.trigger();
  assert.is(worker.report().problem, 'no such thing');
  assert.is(worker.busyMs, undefined);
  worker.wantAll(new Map(), []);
  await worker.trigger();
  assert.is(worker.report().problem, undefined);
  assert.is(worker.busyMs, undefined);
});

test('a trigger at whatever moment of a run is followed by another run', async () => {
  for (let moment = 0; moment < 40; moment++) {
    runs = 0;
    const first = worker.trigger();
    for (let tick = 0; tick < moment; tick++) await undefined;
    const before = runs;
    await worker.trigger();
    assert.is.not(runs, before, `after ${moment} turns`);
    await first;
  }
});

test.run();
