import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { installRules, rulesFile, triggerChange } from '../../agent/host/udev-rules.js';
import { unshared } from './unshared.js';

// In a mount namespace with a /run of its own, and with a udevadm that writes down its arguments.
unshared(import.meta.url);

const scratch = mkdtempSync(join(tmpdir(), 'hotseat-udev-rules-'));
const asked = (): string[] =>
  existsSync(join(scratch, 'asked')) ? readFileSync(join(scratch, 'asked'), 'utf8').trim().split('\n') : [];
const answer = (status: number): void => writeFileSync(join(scratch, 'status'), String(status));

test.before(() => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  writeFileSync(join(scratch, 'udevadm'), `#!/bin/sh\necho "$@" >> ${scratch}/asked\nexit $(cat ${scratch}/status)\n`, {
    mode: 0o755,
  });
  process.env['PATH'] = `${scratch}:${process.env['PATH']}`;
});
test.before.each(() => {
  rmSync(join(scratch, 'asked'), { force: true });
  rmSync(rulesFile, { force: true });
  answer(0);
});
test.after(() => rmSync(scratch, { recursive: true }));

test('rules are installed once, and udevd is told once', async () => {
  assert.is(await installRules('# one\n'), true);
  assert.is(await installRules('# one\n'), false);
  assert.is(readFileSync(rulesFile, 'utf8'), '# one\n');
  assert.equal(readdirSync(dirname(rulesFile)), ['72-zz-hotseat.rules']);
  assert.equal(asked(), ['control --reload']);
});

test('udevd is told again when it could not be told', async () => {
  answer(1);
  const failed = await installRules('# two\n').then(
    () => false,
    () => true,
  );
  assert.ok(failed);
  answer(0);
  assert.is(await installRules('# two\n'), true);
  assert.is(await installRules('# two\n'), false);
  assert.is(asked().length, 2);
});

test("a change is asked for by the device's own file, and a device that has gone is no error", () => {
  const device = join(scratch, 'input12');
  mkdirSync(device);
  triggerChange(device);
  assert.not.ok(existsSync(join(device, 'uevent')), 'nothing is created');
  writeFileSync(join(device, 'uevent'), '');
  triggerChange(device);
  assert.is(readFileSync(join(device, 'uevent'), 'utf8'), 'change');
  triggerChange(join(scratch, 'gone'));
});

test.run();
