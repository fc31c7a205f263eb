import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execaSync } from 'execa';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decider } from '../../agent/core/decide.js';
import type { Unit } from '../../agent/core/device.js';
import { firstTouched } from '../../agent/identify/listen.js';
import { proposalsOf } from '../../agent/identify/proposal.js';
import { seatFileOf, writeRule } from '../../agent/identify/seat-file.js';
import { parseEvents, touchDetector } from '../../agent/identify/touch.js';
import { appendRule, ruleText } from '../../agent/policy/append-rule.js';
import { parseFixture } from '../../agent/policy/fixture.js';
import { loadDirectory } from '../../agent/policy/load.js';
import { checkout } from './hotseat.js';

const bytes = (...events: readonly (readonly [type: number, code: number, value: number])[]): Buffer =>
  Buffer.concat(
    events.map(([type, code, value]) => {
      const event = Buffer.alloc(24, 0xff);
      event.writeUInt16LE(type, 16);
      event.writeUInt16LE(code, 18);
      event.writeInt32LE(value, 20);
      return event;
    }),
  );

test('events are read as the kernel writes them, and half a one is none', () => {
  const whole = bytes([1, 30, 1], [2, 0, -3]);
  const expected = [
    { type: 1, code: 30, value: 1 },
    { type: 2, code: 0, value: -3 },
  ];
  assert.equal(parseEvents(whole), expected);
  assert.equal(parseEvents(Buffer.concat([whole, Buffer.alloc(23)])), expected);
});

test('a key that is pressed is a touch; one that is released or repeats, a scan code or a report is none', () => {
  const touched = touchDetector(() => undefined);
  assert.ok(touched({ type: 1, code: 30, value: 1 }));
  for (const value of [0, 2]) assert.not.ok(touched({ type: 1, code: 30, value }));
  assert.not.ok(touched({ type: 4, code: 4, value: 458_756 }));
  assert.not.ok(touched({ type: 0, code: 0, value: 0 }));
  assert.ok(touched({ type: 2, code: 1, value: -1 }));
});

test('an axis that trembles is no touch, and one that is moved is', () => {
  fc.assert(
    fc.property(fc.integer({ min: 160, max: 65_536 }), fc.integer(), (range, first) => {
      const touched = touchDetector(() => range);
      const tremble = Math.floor(range / 16);
      const axis = (value: number) => touched({ type: 3, code: 0, value });
      assert.not.ok(axis(first));
      for (const by of [tremble, -tremble]) assert.not.ok(axis(first + by));
      assert.ok(axis(first + tremble + 1));
    }),
  );
});

test('what is touched the moment one is asked to is heard', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'hotseat-listen-'));
  const node = join(directory, 'event7');
  execaSync('mkfifo', [node]);
  let pen: number | undefined;
  const stop = new AbortController();
  const touched = await firstTouched({
    ...{ wanted: () => true, timeoutMs: 10_000, stop: stop.signal, directory },
    begun: () => {
      // It opens only where somebody listens, and would wait for him otherwise.
      pen = openSync(node, constants.O_WRONLY | constants.O_NONBLOCK);
      writeSync(pen, bytes([1, 30, 1]));
    },
  });
  assert.is(touched, node);
  if (pen !== undefined) closeSync(pen);
  rmSync(directory, { recursive: true });
});

const recorded = (name: string, change: (text: string) => string = (text) => text): Unit => {
  const text = change(readFileSync(join(checkout, 'policies/tests/devices', name), 'utf8'));
  const read = parseFixture(name, text);
  if ('diagnostics' in read) throw new Error(JSON.stringify(read.diagnostics));
  return read.unit;
};

const seatText = `# The left one.
seat: left
container: { engine: lxc, name: left }
devices:
  # By name.
  - label: nothing
    match: { subsystem: drm, sysname: none } # none
`;

/** A directory with one seat, in git. */
function repository(text = seatText): { directory: string; git: (...command: string[]) => string } {
  const directory = mkdtempSync(join(tmpdir(), 'hotseat-identify-'));
  const git = (...command: string[]) => execaSync('git', ['-C', directory, ...command]).stdout;
  git('init', '-q', '-b', 'main');
  git('config', 'user.name', 'Admin');
  git('config', 'user.email', 'admin@example.org');
  writeFileSync(join(directory, 'left.yaml'), text);
  git('add', '-A');
  git('commit', '-q', '-m', 'first');
  return { directory, git };
}

test('every proposal for every recorded device gives it to the seat, once it is written', async () => {
  let tried = 0;
  for (const name of readdirSync(join(checkout, 'policies/tests/devices'))) {
    const unit = recorded(name);
    for (const proposal of proposalsOf(unit)) {
      const { directory } = repository();
      assert.ok(await writeRule(seatFileOf(directory, 'left'), unit, proposal));
      const loaded = loadDirectory(directory);
      assert.ok(loaded.ok);
      assert.is(decider(loaded.policy)(unit).kind, 'seat', `${name} by ${proposal.by}`);
      rmSync(directory, { recursive: true });
      tried += 1;
    }
  }
  assert.ok(tried >= 8, `${tried} proposals`);
});

test('a USB keyboard is proposed by its port without the interface, and by its serial number', () => {
  const unit = recorded('left-keyboard.yaml', (text) => text.replace(/serial: .*/, 'serial: "a*[b?"'));
  assert.equal(
    proposalsOf(unit).map(({ by, match }) => [by, match]),
    [
      ['port', { port: 'pci-0000:00:05.0-usb-0:1.1' }],
      ['serial', { attr: { idVendor: '0627', idProduct: '0001', serial: 'a[*][[]b[?]' } }],
    ],
  );
  for (const serial of ['"a\\"b"', "'a|b'", '"a\\\\b"', '" a"', '""']) {
    const hostile = recorded('left-keyboard.yaml', (text) =>
      text.replace(/serial: .*/, `serial: ${serial}`).replace(/uniq: .*/, `uniq: ${serial}`),
    );
    assert.equal(
      proposalsOf(hostile).map(({ by }) => by),
      ['port'],
      serial,
    );
  }
});

test('a rule is added at the end, and everything else stays as it was', () => {
  const rule = { label: 'that keyboard', match: { port: 'pci-0000:00:05.0-usb-0:1.1' } };
  const longer = appendRule('left.yaml', seatText, rule);
  assert.ok('text' in longer);
  assert.is(longer.text, `${seatText}  - label: that keyboard\n    match: { port: pci-0000:00:05.0-usb-0:1.1 }\n`);
  assert.match(ruleText(rule), /^ {2}- label: that keyboard\n {4}match:\n {6}port: pci-0000:00:05.0-usb-0:1.1$/);
});

test('it is committed alone, and only when nothing else in the file would go with it', async () => {
  const { directory, git } = repository();
  const unit = recorded('left-keyboard.yaml');
  const [proposal] = proposalsOf(unit);
  assert.ok(proposal !== undefined);
  writeFileSync(join(directory, 'notes'), 'staged, and not ours');
  git('add', 'notes');
  assert.is(await writeRule(seatFileOf(directory, 'left'), unit, proposal), true);
  assert.is(git('show', '--name-only', '--format=', 'HEAD').trim(), 'left.yaml');
  assert.match(git('log', '-1', '--format=%s'), /^left gets any device at .*usb-0:1\.1, found by port$/);

  writeFileSync(join(directory, 'left.yaml'), `${seatText}# in the middle of something\n`);
  const before = readFileSync(join(directory, 'left.yaml'), 'utf8');
  let said = '';
  await writeRule(seatFileOf(directory, 'left'), unit, proposal).catch((error: Error) => {
    said = error.message;
  });
  assert.match(said, /left\.yaml has changes that are not committed/);
  assert.is(readFileSync(join(directory, 'left.yaml'), 'utf8'), before);
  rmSync(directory, { recursive: true });
});

test('nothing is written when another seat wants it as well, and the other rule is named', async () => {
  const { directory } = repository();
  const unit = recorded('left-keyboard.yaml');
  writeFileSync(
    join(directory, 'right.yaml'),
    'seat: right\ncontainer: { engine: lxc, name: right }\ndevices:\n  - { label: all, match: { kind: keyboard } }\n',
  );
  const [proposal] = proposalsOf(unit);
  assert.ok(proposal !== undefined);
  let said = '';
  await writeRule(seatFileOf(directory, 'left'), unit, proposal).catch((error: Error) => {
    said = error.message;
  });
  assert.match(said, /nothing is written: right\.yaml:4 wants it as well/);
  assert.is(readFileSync(join(directory, 'left.yaml'), 'utf8'), seatText);
  rmSync(directory, { recursive: true });
});

test('a seat that is not there is refused, with those that are', () => {
  const { directory } = repository();
  assert.throws(() => seatFileOf(directory, 'up'), /no seat "up" in .*; there are: left/);
  rmSync(directory, { recursive: true });
});

test.run();
