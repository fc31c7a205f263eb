import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatDiagnostic } from '../../agent/policy/diagnostics.js';
import type { Loaded } from '../../agent/policy/files.js';
import { loadDirectory } from '../../agent/policy/load.js';
import { refusedHere } from '../../agent/policy/notes.js';
import { parseHost, parseSeat } from '../../agent/policy/parse.js';

const seat = (match: string, name = 'left'): string =>
  `seat: ${name}\ncontainer: { engine: lxc, name: ${name} }\ndevices:\n  - label: one\n    match: ${match}\n`;
const faults = (text: string): string[] => {
  const parsed = parseSeat('left.yaml', text);
  return 'diagnostics' in parsed ? parsed.diagnostics.map(formatDiagnostic) : [];
};
const place = (line: string): string => line.split(':').slice(1, 3).join(':');

test('the example of the design is read as it stands', () => {
  const parsed = parseSeat(
    'left.yaml',
    `seat: left
container: { engine: lxc, name: left }
devices:
  - label: everything on the left hub
    match: { port: "pci-0000:00:14.0-usb-0:2" }
  - label: the shared speakers
    match: { subsystem: sound, ID_VENDOR_ID: "0d8c", not: { sysname: [card1, card2] } }
    share: true
    revoke: hard
  - label: whatever \`loginctl attach seat-left\` was told
    match: { ID_SEAT: seat-left, attr: { id/vendor: "046d" } }
`,
  );
  assert.ok('seat' in parsed);
  const [hub, speakers, told] = parsed.seat.rules;
  assert.equal(hub?.conditions, [{ on: 'port', patterns: ['pci-0000:00:14.0-usb-0:2'], negate: false }]);
  assert.equal(hub?.place, { file: 'left.yaml', line: 4, column: 5 });
  assert.is(speakers?.share, true);
  assert.is(speakers?.revoke, 'hard');
  assert.equal(speakers?.conditions, [
    { on: 'subsystem', patterns: ['sound'], negate: false },
    { on: 'property', key: 'ID_VENDOR_ID', patterns: ['0d8c'], negate: false },
    { on: 'sysname', patterns: ['card1', 'card2'], negate: true },
  ]);
  assert.equal(told?.conditions.at(-1), { on: 'attribute', key: 'id/vendor', patterns: ['046d'] });
});

test('how a seat receives inputs is said once for all of it, and of a device otherwise', () => {
  const parsed = parseSeat(
    'left.yaml',
    `seat: left
receive: descriptor
container: { engine: lxc, name: left }
devices:
  - { label: keyboard, match: { kind: keyboard } }
  - { label: pad, match: { kind: joystick }, receive: both, hidraw: true }
  - { label: key, match: { ID_MODEL: key }, hidraw: true }
`,
  );
  assert.ok('seat' in parsed);
  assert.is(parsed.seat.receive, 'descriptor');
  assert.equal(
    parsed.seat.rules.map(({ receive }) => receive),
    ['descriptor', 'both', 'descriptor'],
  );
  // Of a raw node that could never be taken back, a kernel that is too old says so.
  const refused = refusedHere({ seats: [parsed.seat] }, '6.1.0-13-amd64');
  assert.equal(
    refused.map(({ place: at }) => at.line),
    [7],
  );
  assert.match(refused[0]?.message ?? '', /from Linux 6\.12 on, and this is 6\.1\.0/);
  for (const release of ['6.12.48+deb13-amd64', '6.18.1', '7.0.0', 'unheard of'])
    assert.equal(refusedHere({ seats: [parsed.seat] }, release), [], release);
  assert.match(
    faults(`seat: left
receive: handle
container: { engine: lxc, name: left }
devices: []
`).join(),
    /2:10: "receive" is not one of its values.*node, descriptor, both/s,
  );
});

test('every mistake at once, each at its own place', () => {
  const lines = faults(`seat: seatleft
container: { engine: lxc, nmae: left }
devices:
  - label: one
    match: { knd: mouse }
  - label: two
    match: { sysname: 'a"b', HOTSEAT_SEAT: x, not: { attr: x } }
    revok: hard
`);
  assert.equal(lines.map(place).sort(), ['1:7', '2:27', '5:14', '7:23', '7:30', '7:54', '8:5'].sort());
  assert.match(lines.join('\n'), /did you mean "name"\?[\s\S]*did you mean "kind"\?[\s\S]*did you mean "revoke"\?/);
});

test('what udev and the agent would read in two ways is refused', () => {
  for (const match of [
    '{ SOUND_FORM_FACTOR: internal }',
    '{ ID_MODEL_FROM_DATABASE: x }',
    '{ ACTION: add }',
    '{ HOTSEAT_ADMIN_SEAT: x }',
    '{ ID_MODEL: "[[:alpha:]]" }',
    '{ ID_MODEL: "x " }',
    '{ attr: { power/control: auto } }',
    '{ not: { not: x } }',
    '{ not: { attr: { name: x } } }',
    '{ ID_MODEL: "a|b" }',
    "{ ID_MODEL: 'a\\b' }",
    '{ port: "pci-0000:00:14.0-usb-0:*" }',
    '{ ID_MODEL: [] }',
  ]) {
    const lines = faults(seat(match));
    assert.is(lines.length, 1, `${match}: ${lines.join(' / ')}`);
    assert.match(lines[0] ?? '', /^left\.yaml:5:\d+: .+: .+$/);
  }
});

test('bombs, nests and floods end in a diagnostic, quickly', () => {
  const started = performance.now();
  const bomb = `a: &a [x,x]\n${'bcdefghij'.replace(/./g, (name) => `${name}: &${name} [*${String.fromCharCode(name.charCodeAt(0) - 1)},*${String.fromCharCode(name.charCodeAt(0) - 1)}]\n`)}`;
  for (const text of [
    bomb,
    seat('{ ID_MODEL: *a }'),
    '['.repeat(100_000),
    '{a: '.repeat(50_000),
    '- '.repeat(100_000),
    '? '.repeat(100_000),
    Array.from({ length: 90 }, (_, level) => `${' '.repeat(60 * level)}${'- '.repeat(30)}\n`).join(''),
    'x'.repeat(300_000),
    '',
    '[]',
    'seat',
    seat(`{ ID_MODEL: [${'abc, '.repeat(40)}x] }`),
    seat(`{ ID_MODEL: [${Array.from({ length: 32 }, () => 'y'.repeat(190)).join(', ')}] }`),
  ])
    assert.ok(faults(text).length > 0, text.slice(0, 40));
  assert.ok(performance.now() - started < 20_000);
});

test('no text throws, and none gets a control character into a message', () => {
  const words = [
    'seat: left\n',
    'container: ',
    'devices:\n',
    '  - ',
    'match: ',
    'not: ',
    'attr: ',
    'label: x\n',
    '    ',
  ];
  const marks = [
    '{',
    '}',
    '[',
    ']',
    '&a ',
    '*a',
    '!t ',
    '"',
    "'",
    '\n',
    ': ',
    '? ',
    '<<: ',
    '__proto__: ',
    '"\\x9b\\e[2J": ',
    '"\\L\\u202e": x\n',
    '\u001b[2J',
    '\0',
    '\r',
    '# ',
    '|\n',
  ];
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.array(fc.constantFrom(...words, ...marks), { maxLength: 30 }).map((parts) => parts.join('')),
    fc.array(fc.constantFrom(...words, ...marks), { maxLength: 12 }).map((parts) => seat(parts.join(''))),
  );
  fc.assert(
    fc.property(text, (given) => {
      for (const parsed of [parseSeat('x.yaml', given), parseHost('host.yaml', given)]) {
        if (!('diagnostics' in parsed)) continue;
        assert.ok((parsed.diagnostics?.length ?? 0) > 0);
        for (const diagnostic of parsed.diagnostics ?? []) {
          assert.ok(diagnostic.place.line >= 1 && diagnostic.place.column >= 1);
          assert.not.match(formatDiagnostic(diagnostic), /[\p{Cc}\p{Cf}\p{Zl}]/u);
        }
      }
    }),
    { numRuns: 5000 },
  );
});

test('a control character is refused where it stands', () => {
  assert.match(faults(seat('{ ID_MODEL: "a\u001b[2Jb" }'))[0] ?? '', /^left\.yaml:5:26: a control character, U\+001b/);
});

async function inDirectory(fill: (directory: string) => void): Promise<Loaded> {
  const directory = mkdtempSync(join(tmpdir(), 'hotseat-policy-'));
  try {
    fill(directory);
    return loadDirectory(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('a directory is a policy: sorted, with the console of host.yaml', async () => {
  const loaded = await inDirectory((directory) => {
    writeFileSync(join(directory, 'b.yaml'), seat('{ kind: mouse }', 'b'));
    writeFileSync(join(directory, 'a.yaml'), seat('{ kind: mouse }', 'a'));
    writeFileSync(join(directory, 'host.yaml'), 'console: open\n');
    writeFileSync(join(directory, '.hidden.yaml'), '{');
    writeFileSync(join(directory, 'README.md'), '{');
  });
  assert.ok(loaded.ok);
  assert.equal(
    loaded.policy.seats.map((one) => one.seat),
    ['a', 'b'],
  );
  assert.is(loaded.policy.console, 'open');
  assert.is(loaded.policy.revision, 'unversioned');
});

test('what is no plain file is refused, and nothing waits for it', async () => {
  const loaded = await inDirectory((directory) => {
    writeFileSync(join(directory, 'a.yaml'), seat('{ kind: mouse }', 'a'));
    symlinkSync('a.yaml', join(directory, 'b.yaml'));
    execFileSync('mkfifo', [join(directory, 'c.yaml')]);
    writeFileSync(join(directory, 'd.yaml'), Buffer.from([0x73, 0xff, 0xfe]));
    writeFileSync(join(directory, 'e.yaml'), 'x'.repeat(300_000));
    writeFileSync(join(directory, '\u001b[2J.yaml'), 'x');
    execFileSync('mkdir', [join(directory, 'f.yaml')]);
    writeFileSync(join(directory, 'g.yaml'), seat('{ kind: mouse }', 'a'));
  });
  assert.not.ok(loaded.ok);
  if (loaded.ok) return;
  const lines = loaded.diagnostics.map(formatDiagnostic);
  for (const said of [/^b\.yaml.*link/, /^c\.yaml.*plain/, /^d\.yaml.*UTF-8/, /^e\.yaml.*300000/, /^f\.yaml.*plain/])
    assert.ok(
      lines.some((line) => said.test(line)),
      `${said} in ${lines.join('\n')}`,
    );
  assert.is(lines.filter((line) => /^g\.yaml:[12]:\d+: (seat|container)/.test(line)).length, 2, lines.join('\n'));
  assert.ok(lines.every((line) => !/\p{Cc}/u.test(line)));
  assert.is(lines.length, 8);
  assert.not.ok(loadDirectory('/nonexistent').ok);
});

test('the policies of the lab load', () => {
  const loaded = loadDirectory(fileURLToPath(new URL('../../../policies', import.meta.url)));
  assert.ok(loaded.ok, JSON.stringify(loaded));
});

test.run();
