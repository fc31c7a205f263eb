// The measure of waiting that tests of the namespace layer use.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { monotonic, Waits } from '../namespace/longest-wait.js';

// The machine may be busy: a tenth of the time is enough.
test('a loop that is busy counts', async () => {
  const waits = await Waits.start();
  const began = monotonic();
  while (monotonic() - began < 1000);
  const { loop, busy } = await waits.end();
  assert.ok(loop >= 100 && busy >= 100, `${loop} ms, ${busy} ms`);
});

test('a loop that a system call holds counts', async () => {
  const waits = await Waits.start();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
  const { loop, busy } = await waits.end();
  assert.ok(loop >= 100 && busy < 900, `${loop} ms, ${busy} ms`);
});

test('the time for which all of the process stands still does not', async () => {
  const waits = await Waits.start();
  const began = monotonic();
  const stopper = spawn('sh', ['-c', `kill -STOP ${process.pid}; sleep 2; kill -CONT ${process.pid}`]);
  await once(stopper, 'exit');
  const span = [began, monotonic()] as const;
  const { loop, of } = await waits.end();
  assert.ok(span[1] - span[0] >= 2000, 'it stood still');
  assert.ok(loop < 1000 && of(span) < 1000, `${loop} ms, ${of(span)} ms`);
});

test.run();
