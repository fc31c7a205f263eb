import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa, execaSync } from 'execa';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { recordOf } from '../../agent/control/inspect.js';
import type { Request } from '../../agent/control/messages.js';
import { ControlServer } from '../../agent/control/server.js';
import { formatDiagnostic } from '../../agent/policy/diagnostics.js';
import { fixtureOf, parseFixture } from '../../agent/policy/fixture.js';
import { controlSocket } from '../../agent/seat/layout.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

// A /run of its own: the agent's socket is at its own place, and no agent of this machine is asked.
execaSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);

const checkout = join(import.meta.dirname, '../../..');
const recorded = readFileSync(join(checkout, 'policies/tests/devices/left-keyboard.yaml'), 'utf8');
const parsed = (text: string) => {
  const found = parseFixture('x.yaml', text);
  if ('diagnostics' in found) throw new Error(found.diagnostics.map(formatDiagnostic).join('\n'));
  return found.unit;
};
const unit = parsed(recorded.replaceAll(/masked-[0-9a-f]{8}/g, 'SN-12345'));

const hotseat = (...words: string[]) =>
  execa('node', [join(checkout, 'dist/hotseat/main.js'), ...words], { reject: false, timeout: 30_000 });

const server = new ControlServer(
  controlSocket,
  async (request: Request) => {
    if (request.verb !== 'record') throw new Error('only record is asked here');
    return recordOf([unit], request.device, request.unmask);
  },
  pino({ level: 'silent' }),
);
test.before(() => server.listen());
test.after(() => server.close());

test('what is printed is the unit, without its serial number', async () => {
  const { stdout, exitCode } = await hotseat('record', '/dev/input/event2');
  assert.is(exitCode, 0);
  assert.not.match(stdout, /12345/);
  assert.match(stdout, /ID_SERIAL: QEMU_QEMU_USB_Keyboard_masked-[0-9a-f]{8}\n/);
  assert.is(parsed(stdout).id, unit.id);
  const again = await hotseat('record', 'input2');
  assert.is(again.stdout, stdout, 'the same each time');
  const machine = await hotseat('record', 'input2', '--json');
  assert.equal(parsed(machine.stdout), parsed(stdout));
});

test('with --unmask nothing is left out', async () => {
  const { stdout } = await hotseat('record', 'input2', '--unmask');
  assert.equal(fixtureOf(parsed(stdout)), fixtureOf(unit));
});

test('a file is written, and none that exists is touched; who asks for nothing real is told', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'hotseat-record-'));
  try {
    const out = join(directory, 'keyboard.yaml');
    const { stdout, exitCode } = await hotseat('record', 'input2', '--out', out);
    assert.is(exitCode, 0);
    assert.is(stdout, `${out} is written`);
    const text = readFileSync(out, 'utf8');
    assert.is(parsed(text).id, unit.id);
    const again = await hotseat('record', 'input2', '--out', out, '--unmask');
    assert.is(again.exitCode, 2);
    assert.match(again.stderr, /exists already: name another file, or remove it/);
    assert.is(readFileSync(out, 'utf8'), text);
  } finally {
    rmSync(directory, { recursive: true });
  }
  const none = await hotseat('record', 'input99');
  assert.is(none.exitCode, 2);
  assert.match(none.stderr, /no device "input99": hotseat devices lists them/);
  assert.is((await hotseat('record')).exitCode, 2);
});

test.run();
