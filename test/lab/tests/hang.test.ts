import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { runFile } from '../../runner/file.js';
import { preparedLab } from '../driver/prepared.js';
import { test } from '../driver/test.js';

const hanging = { name: 'lab/hanging', path: join(import.meta.dirname, 'hanging.js'), limitMs: 20_000 };

test.before(async () => {
  // Made by now, so that all the time is for the hang.
  const lab = await preparedLab();
  await lab.stop();
});

test('a file that hangs is ended at its limit, and says in what, what it waited for, and who said what last', async () => {
  const { wrong, failed, output } = await runFile(hanging);
  assert.is(wrong, 'did not end within 20 s');
  assert.is(failed, 1);
  assert.match(output, /^ended at its limit, in: this one hangs\nwaiting for:\n {2}what never comes, for \d+ s$/m);
  assert.match(output, /^the agent said last:\n(.*\n)*.*"msg":"ready"/m);
  assert.match(output, /^the kernel said last:\n\[ *\d+\.\d+\] /m);
});

test('the same when its PC does not answer any more', async () => {
  process.env['GUEST'] = 'stopped';
  const { wrong, output } = await runFile(hanging);
  assert.is(wrong, 'did not end within 20 s');
  assert.match(output, /^ended at its limit, in: this one hangs\nwaiting for:\n {2}what never comes, for \d+ s$/m);
  assert.match(output, /^the guest does not answer\nthe kernel said last:$/m);
});

test.run();
