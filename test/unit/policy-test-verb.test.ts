import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatDiagnostic } from '../../agent/policy/diagnostics.js';
import { loadDirectory } from '../../agent/policy/load.js';
import { runTests, type TestRun } from '../../agent/policy/test-run.js';
import { checkout, hotseat } from './hotseat.js';

const seat = (name: string, ...rules: string[]): string =>
  `seat: ${name}\ncontainer: { engine: lxc, name: ${name} }\ndevices:\n${rules.map((rule) => `  - ${rule}\n`).join('')}`;
const device = `format: "1"
devices:
  - syspath: /sys/devices/x/input/input7
    subsystem: input
    sysname: input7
    properties: { ID_INPUT_KEYBOARD: "1", ID_PATH: pci-1-usb-0:2:1.0, ID_MODEL: Keys }
`;
const policy = {
  'left.yaml': seat(
    'left',
    '{ label: mice, match: { kind: mouse } }',
    '{ label: hub, match: { port: pci-1-usb-0:2 } }',
    '{ label: model, match: { ID_MODEL: Keys } }',
  ),
  'right.yaml': seat('right', '{ label: everything, match: { ID_MODEL: Else } }'),
  'tests/devices/keys.yaml': device,
};

async function inDirectory<T>(files: Readonly<Record<string, string>>, ask: (directory: string) => T | Promise<T>) {
  const directory = mkdtempSync(join(tmpdir(), 'hotseat-tests-'));
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, name)), { recursive: true });
      writeFileSync(join(directory, name), text);
    }
    return await ask(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const run = (tests: string, more: Readonly<Record<string, string>> = {}): Promise<TestRun> =>
  inDirectory({ ...policy, ...more, 'tests/a.yaml': tests }, (directory) => runTests(directory, 'pc'));

/** Why the first test failed; throws when the tests did not run. */
async function why(expect: string, more: Readonly<Record<string, string>> = {}): Promise<readonly string[]> {
  const ran = await run(`- device: devices/keys.yaml\n  expect: ${expect}\n`, more);
  if (!ran.ok) throw new Error(ran.diagnostics.map(formatDiagnostic).join('\n'));
  return ran.results[0]?.failures ?? ['no result'];
}

async function faults(tests: string, more: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const ran = await run(tests, more);
  return ran.ok ? [] : ran.diagnostics.map(formatDiagnostic);
}

test('a test says which seat, by which rule, or that the device stays, or is in conflict', async () => {
  assert.equal(await why('{ seat: left }'), []);
  assert.equal(await why('{ seat: left, rule: hub }'), []);
  const nobody = { 'left.yaml': seat('left', '{ label: mice, match: { kind: mouse } }') };
  assert.equal(await why('{ host: true }', nobody), []);
  const both = { 'right.yaml': seat('right', '{ label: everything, match: { kind: keyboard } }') };
  assert.equal(await why('{ conflict: [right, left] }', both), []);
  const shared = (name: string) => seat(name, '{ label: all, match: { kind: keyboard }, share: true }');
  const sharing = { 'left.yaml': shared('left'), 'right.yaml': shared('right') };
  assert.equal(await why('{ seat: [left, right], rule: all }', sharing), []);
});

test('a failure says what won, and what failed first in the rule that was to win', async () => {
  assert.equal(await why('{ seat: left, rule: mice }'), [
    'expected left by "mice", got left by "hub" (left.yaml:5)',
    'left.yaml:4 "mice": kind is another, wanted mouse',
  ]);
  assert.equal(await why('{ seat: left, rule: model }'), [
    'expected left by "model", got left by "hub" (left.yaml:5)',
    'left.yaml:6 "model": left.yaml:5 of the seat comes first',
  ]);
  assert.equal(await why('{ seat: right, rule: everything }'), [
    'expected right by "everything", got left by "hub" (left.yaml:5)',
    'right.yaml:4 "everything": ID_MODEL is "Keys", wanted Else',
  ]);
  assert.equal(await why('{ host: true }'), ['expected host, got left by "hub" (left.yaml:5)']);
  assert.equal(await why('{ conflict: [left, right] }'), [
    'expected conflict of left and right, got left by "hub" (left.yaml:5)',
    'right.yaml:4 "everything": ID_MODEL is "Keys", wanted Else',
  ]);
  assert.equal((await why('{ seat: left, rule: hob }'))[1], 'no rule of left is labelled "hob": did you mean "hub"?');
  assert.equal((await why('{ seat: lefd }'))[1], 'there is no seat "lefd": did you mean "left"?');
});

test('a seat of one PC only is tested as on that PC', async () => {
  const one = seat('left', '{ label: hub, match: { port: pci-1-usb-0:2 } }').replace('\n', '\nhosts: pc7\n');
  const other = one.replace('pc7', 'pc8').replace('label: hub', 'label: other');
  const files = { 'left.yaml': one, 'left-pc8.yaml': other };
  const ran = await run(
    `- { device: devices/keys.yaml, pc: pc7, expect: { seat: left, rule: hub } }
- { device: devices/keys.yaml, pc: pc8, expect: { seat: left, rule: other } }
- { device: devices/keys.yaml, expect: { host: true } }
`,
    files,
  );
  assert.ok(ran.ok);
  assert.equal(
    ran.results.flatMap(({ failures }) => failures),
    [],
  );
  assert.equal(
    ran.coverage.filter(({ hit }) => hit).map(({ rule }) => rule.label),
    ['other', 'hub'],
    'rules for other PCs count as well',
  );
});

test('what is wrong with tests and devices is said at its place, with everything else', async () => {
  const one = (text: string) => `- device: devices/keys.yaml\n  expect: ${text}\n`;
  assert.match(
    (await faults(one('{ seat: left, host: true }')))[0] ?? '',
    /^tests\/a\.yaml:2:11: "expect" must say one/,
  );
  assert.match((await faults(one('{ host: true, rule: x }')))[0] ?? '', /names a rule without a seat: add "seat"/);
  assert.match((await faults(one('{ saet: left }'))).join('\n'), /unknown key "saet": did you mean "seat"\?/);
  assert.match((await faults(one('{ conflict: [left] }')))[0] ?? '', /"conflict" has too few entries: at least 2/);
  assert.match(
    (await faults('- { device: devices/none.yaml, expect: { host: true } }\n'))[0] ?? '',
    /^tests\/a\.yaml:1:13: there is no file tests\/devices\/none\.yaml: make it with hotseat record/,
  );
  for (const name of ['../left.yaml', '/etc/passwd', '.hidden/x.yaml', 'devices/../../x'])
    assert.match(
      (await faults(`- { device: ${name}, expect: { host: true } }\n`))[0] ?? '',
      /is no name of a file beside/,
    );
  const both = await faults(one('{ hots: true }'), { 'left.yaml': 'seat: 1\n', 'tests/devices/keys.yaml': 'x' });
  assert.match(both.join('\n'), /left\.yaml:1:7: [\s\S]*tests\/a\.yaml:2:13: unknown key "hots"/);
  const broken = await faults(one('{ host: true }'), { 'tests/devices/keys.yaml': 'format: "1"\n' });
  assert.match(broken[0] ?? '', /^tests\/devices\/keys\.yaml:1:1: "devices" is missing/);
});

test('tests and devices beside seat files are no seat files', () =>
  inDirectory({ ...policy, 'tests/a.yaml': 'nonsense' }, (directory) => assert.ok(loadDirectory(directory).ok)));

test('the verb: every rule without a test is named, exit codes say yes or no', () =>
  inDirectory(
    { ...policy, 'tests/a.yaml': '- { device: devices/keys.yaml, expect: { seat: left } }\n' },
    async (directory) => {
      const ran = await hotseat('test', directory);
      assert.is(ran.exitCode, 0, ran.stderr);
      assert.is(
        ran.stdout,
        `ok    tests/a.yaml:1 devices/keys.yaml: left by "hub" (left.yaml:5)
hit by no test: left.yaml:4 left "mice"
hit by no test: left.yaml:6 left "model"
hit by no test: right.yaml:4 right "everything"
1 passed, 0 failed; rules hit: 1 of 4`,
      );
      assert.is((await hotseat('test', directory, '--require-coverage')).exitCode, 1);
      const answer = JSON.parse((await hotseat('test', directory, '--json')).stdout);
      assert.is(answer.ok, true);
      assert.is(answer.coverage.length, 4);
      writeFileSync(join(directory, 'tests/a.yaml'), '- { device: devices/keys.yaml, expect: { seat: right } }\n');
      const failed = await hotseat('test', directory);
      assert.is(failed.exitCode, 1);
      assert.match(
        failed.stdout,
        /^FAIL {2}tests\/a\.yaml:1 devices\/keys\.yaml\n {8}expected right, got left by "hub"/,
      );
      rmSync(join(directory, 'tests'), { recursive: true });
      const none = await hotseat('test', directory);
      assert.is(none.exitCode, 1);
      assert.match(none.stdout, /^no tests: put some into /);
    },
  ));

test('the example policies pass their tests, and each of their rules has one', async () => {
  const { exitCode, stdout, stderr } = await hotseat('test', join(checkout, 'policies'), '--require-coverage');
  assert.is(exitCode, 0, stdout + stderr);
});

const part = (name: string, kind: string) =>
  `format: "1"\ndevices:\n  - { syspath: /sys/devices/x/1-2/1-2:1.0/input/${name}, subsystem: input, sysname: ${name}, properties: { ID_INPUT_${kind}: "1" } }\n`;

test('a part of a recorded device goes along, although no test names the part that is asked for', async () => {
  const ran = await run('- device: devices/media.yaml\n  expect: { seat: left, rule: keyboards }\n', {
    'left.yaml': seat('left', '{ label: keyboards, match: { kind: keyboard } }'),
    'tests/devices/keyboard.yaml': part('input7', 'KEYBOARD'),
    'tests/devices/media.yaml': part('input8', 'KEY'),
  });
  assert.equal(ran.ok && ran.results.map(({ failures }) => failures), [[]]);
});

test('devices that were recorded at one port of two PCs are no one physical device', async () => {
  const at = (name: string, kind: string, product: string) =>
    `${part(name, kind)}ancestors: [{ syspath: /sys/devices/x/1-2, subsystem: usb, driver: usb, attributes: { idVendor: "046d", idProduct: "${product}" } }]\n`;
  const files = {
    'left.yaml': seat('left', '{ label: keyboards, match: { kind: keyboard } }'),
    'tests/devices/keyboard.yaml': at('input7', 'KEYBOARD', 'c31c'),
    'tests/devices/media.yaml': at('input8', 'KEY', 'c31c'),
    'tests/devices/pad.yaml': at('input8', 'JOYSTICK', 'c21d'),
  };
  const tests = ['media.yaml\n  expect: { seat: left }', 'pad.yaml\n  expect: { host: true }'];
  const ran = await run(tests.map((text) => `- device: devices/${text}\n`).join(''), files);
  assert.equal(ran.ok && ran.results.map(({ failures }) => failures), [[], []]);
});

test('check says what the rules leave behind of a recorded device, and nothing where they take it whole', async () => {
  const notes = (rule: string) =>
    inDirectory(
      {
        'left.yaml': seat('left', rule),
        'tests/devices/keyboard.yaml': part('input7', 'KEYBOARD'),
        'tests/devices/media.yaml': part('input8', 'KEY'),
      },
      async (directory) => (await hotseat('check', directory)).stdout.split('\n').slice(1),
    );
  assert.equal(await notes('{ label: keyboards, match: { kind: keyboard } }'), []);
  assert.equal(await notes('{ label: keyboards, match: { kind: keyboard }, whole: false }'), [
    'input8 input8 stays with the host: left has another part of the same physical device (left.yaml:4): whole: true in that rule would bring it along',
  ]);
});

test.run();
