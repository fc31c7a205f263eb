import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decider, hostSeat } from '../../agent/core/decide.js';
import type { Device, Unit } from '../../agent/core/device.js';
import { glob } from '../../agent/core/glob.js';
import type { Policy, SeatPolicy } from '../../agent/core/policy.js';
import { formatDiagnostic } from '../../agent/policy/diagnostics.js';
import { loadDirectory } from '../../agent/policy/load.js';
import { notesOf } from '../../agent/policy/notes.js';
import { parseSeat } from '../../agent/policy/parse.js';
import { compileRules } from '../../agent/policy/udev-rules.js';

const seatText = (name: string, match: string, more = ''): string =>
  `seat: ${name}\ncontainer: { engine: lxc, name: ${name} }\ndevices:\n  - label: one\n    match: ${match}\n${more}`;

function policyOf(...texts: string[]): Policy {
  const seats = texts.map((text, index) => {
    const parsed = parseSeat(`${index}.yaml`, text);
    if ('diagnostics' in parsed) throw new Error(parsed.diagnostics.map(formatDiagnostic).join('\n'));
    return parsed.seat;
  });
  return { revision: 'test', seats, console: 'mute' };
}

function keyboard(properties: Record<string, string>): Unit {
  const head: Device = {
    syspath: '/sys/devices/x/input/input1',
    subsystem: 'input',
    sysname: 'input1',
    devtype: undefined,
    node: undefined,
    number: undefined,
    properties: { ID_INPUT: '1', ID_INPUT_KEYBOARD: '1', ...properties },
    tags: [],
    links: [],
    ancestors: [
      {
        syspath: '/sys/devices/x',
        sysname: 'x',
        subsystem: 'usb',
        driver: 'usb',
        attributes: { idVendor: '046d', serial: 'A1' },
      },
    ],
    attributes: { name: 'Keys' },
  };
  return { id: head.syspath, subsystem: 'input', head, nodes: [] };
}

const kindOf = (policy: Policy, unit: Unit): string => {
  const verdict = decider(policy)(unit);
  return verdict.kind === 'seat' ? verdict.claims.map(({ seat }) => seat).join('+') : verdict.kind;
};

test('a directory with more seat files than a policy may have is refused, and none is read', () => {
  const directory = mkdtempSync(join(tmpdir(), 'hotseat-'));
  try {
    for (let index = 0; index < 201; index++) writeFileSync(join(directory, `${index}.yaml`), 'nonsense: true\n');
    const loaded = loadDirectory(directory);
    const said = loaded.ok ? [] : loaded.diagnostics.map(formatDiagnostic);
    assert.equal(said, ['.:1:1: 201 seat files: keep at most 200']);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a port is the thing at it and all below, and 2 is not 21', () => {
  const policy = policyOf(seatText('left', '{ port: "pci-0000:00:14.0-usb-0:2" }'));
  const at = (path: string) => kindOf(policy, keyboard({ ID_PATH: path }));
  assert.is(at('pci-0000:00:14.0-usb-0:2:1.0'), 'left');
  assert.is(at('pci-0000:00:14.0-usb-0:2.4.1:1.0'), 'left');
  assert.is(at('pci-0000:00:14.0-usb-0:21:1.0'), 'host');
  assert.is(at('pci-0000:00:15.0-usb-0:2:1.0'), 'host');
});

test('two seats that want one exclusive device are a conflict; shared by both, both have it', () => {
  const match = '{ kind: keyboard }';
  assert.is(kindOf(policyOf(seatText('left', match), seatText('right', match)), keyboard({})), 'conflict');
  const shared = (name: string) => seatText(name, match, '    share: true\n');
  assert.is(kindOf(policyOf(shared('left'), shared('right')), keyboard({})), 'left+right');
  assert.is(kindOf(policyOf(shared('left'), seatText('right', match)), keyboard({})), 'conflict');
});

test('attributes must hold on one and the same ancestor; ID_SEAT is what the admin said', () => {
  assert.is(kindOf(policyOf(seatText('left', '{ attr: { idVendor: 046d, serial: "A*" } }')), keyboard({})), 'left');
  assert.is(kindOf(policyOf(seatText('left', '{ attr: { idVendor: 046d, name: Keys } }')), keyboard({})), 'host');
  const policy = policyOf(seatText('left', '{ ID_SEAT: seat-left }'));
  assert.is(kindOf(policy, keyboard({ ID_SEAT: 'seat-left' })), 'host');
  assert.is(kindOf(policy, keyboard({ HOTSEAT_ADMIN_SEAT: 'seat-left' })), 'left');
});

test('seats whose containers one user runs trust each other, and a note says so', () => {
  const seat = (name: string, user?: string) =>
    ({ seat: name, container: { engine: 'podman', name, user } }) as SeatPolicy;
  assert.equal(notesOf({ seats: [seat('left', 'anna'), seat('right', 'bert'), seat('host')] }), []);
  const [note, ...more] = notesOf({
    seats: [seat('left', 'anna'), seat('right', 'anna'), seat('host'), seat('other')],
  });
  assert.match(note ?? '', /^seats left, right trust each other: anna runs their containers/);
  assert.equal(more, []);
});

test('on the host a conflict and what is shared belong to nobody, and what nobody wants stays', () => {
  const match = '{ kind: keyboard }';
  const both = decider(policyOf(seatText('left', match), seatText('right', match)));
  assert.is(hostSeat(both(keyboard({}))), 'seat-hotseat');
  assert.is(hostSeat(decider(policyOf(seatText('left', match)))(keyboard({}))), 'seat-left');
  assert.is(hostSeat(decider(policyOf())(keyboard({}))), undefined);
});

test('four mistakes are all reported, each at its line and column, with a remedy', () => {
  const text = `seat: left
container: { engine: lxcc, name: left }
devices:
  - label: one
    match: { prot: "pci-0000:00:05.0-usb-0:1" }
  - label: two
    match: { kind: keybord }
  - label: three
    match: { subsystem: sound }
    share: maybe
`;
  const parsed = parseSeat('left.yaml', text);
  assert.ok('diagnostics' in parsed);
  const lines = parsed.diagnostics.map(formatDiagnostic);
  assert.equal(
    lines.map((line) => line.split(':').slice(0, 3).join(':')),
    ['left.yaml:2:22', 'left.yaml:5:14', 'left.yaml:7:20', 'left.yaml:10:12'],
  );
  assert.match(lines[1] ?? '', /did you mean "port"/);
});

test('ids stay the text that was written', () => {
  const parsed = parseSeat('a.yaml', seatText('left', '{ ID_MODEL_ID: 0012, ID_VENDOR_ID: 1e10 }'));
  assert.ok('seat' in parsed);
  const patterns = parsed.seat.rules[0]?.conditions.map((condition) => condition.patterns);
  assert.equal(patterns, [['0012'], ['1e10']]);
});

test('no text whatever throws or goes by without a place', () => {
  const pieces = fc.constantFrom(
    'seat: left\n',
    'devices:\n',
    '  - ',
    'match: ',
    '{',
    '}',
    '[',
    '&a ',
    '*a ',
    '"',
    '\n',
    ': ',
    'kind',
    '\0',
    '<<: ',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(pieces).map((parts) => parts.join('')),
      ),
      (text) => {
        const parsed = parseSeat('x.yaml', text);
        if ('diagnostics' in parsed)
          for (const { place } of parsed.diagnostics) assert.ok(place.line >= 1 && place.column >= 1);
      },
    ),
    { numRuns: 500 },
  );
});

/** Keys that the compiled rules may assign or take away; everything else in them only matches. */
const assignments = /(?:^|, )(ENV\{[^}]+\}|TAG|GOTO|LABEL|IMPORT\{(?:parent|db)\}|[A-Z]+(?:\{[^}]*\})?)(=|\+=|-=|:=)"/g;

test('hostile values are refused or stay values: no key but ours is ever assigned, and nothing is run', () => {
  const hostile = [
    '"',
    '\\',
    '|',
    '\n',
    '$env{X}',
    '%k',
    '", RUN+="/bin/sh',
    'a\u2028b',
    '*',
    '[',
    '{}',
    '\u001b[2J',
    "'",
    '#',
  ];
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom(...hostile), fc.string({ maxLength: 4 })), { maxLength: 5 }),
      (parts) => {
        const value = parts.join('');
        const parsed = parseSeat(
          'x.yaml',
          seatText('left', `{ subsystem: input, ID_MODEL: ${JSON.stringify(value)} }`),
        );
        if ('diagnostics' in parsed) return;
        const rules = compileRules({ revision: 'test', seats: [parsed.seat], console: 'mute' });
        assert.is(
          rules.split('\n').length,
          compileRules(policyOf(seatText('left', '{ subsystem: input, ID_MODEL: x }'))).split('\n').length,
        );
        // The one thing that is run: a builtin of udev's, without any value in its line.
        const builtin = 'ENV{HOTSEAT_SEAT}=="?*", ENV{MAJOR}!="", RUN{builtin}+="uaccess"';
        for (const line of rules.split('\n')) {
          if (line.startsWith('#') || line === builtin) continue;
          // A value has no quote in it, so that the quotes of a line come in pairs around values.
          const outside = line
            .split('"')
            .filter((_, index) => index % 2 === 0)
            .join('""');
          for (const [, key] of outside.matchAll(assignments)) {
            assert.match(key ?? '', /^(ENV\{(\.?HOTSEAT_[A-Za-z_]+|ID_SEAT)\}|TAG|GOTO|LABEL|IMPORT\{(parent|db)\})$/);
          }
          assert.not.match(outside, /\b(RUN|PROGRAM|OWNER|GROUP|MODE|SYMLINK|NAME)\b/);
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test('globs match as a plain backtracking matcher does', () => {
  const slow = (pattern: string, text: string): boolean => {
    if (pattern === '') return text === '';
    if (pattern[0] === '*') return slow(pattern.slice(1), text) || (text !== '' && slow(pattern, text.slice(1)));
    return text !== '' && (pattern[0] === '?' || pattern[0] === text[0]) && slow(pattern.slice(1), text.slice(1));
  };
  const letters = (alphabet: string) =>
    fc.array(fc.constantFrom(...alphabet), { maxLength: 8 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(letters('ab*?'), letters('ab'), (pattern, text) => glob(pattern, text) === slow(pattern, text)),
  );
  assert.ok(glob('[a-c]x', 'bx') && !glob('[!a-c]x', 'bx') && glob('[x', '[x'));
});

test('a directory: two files for one seat, and a link, are refused; nothing is loaded then', () => {
  const directory = mkdtempSync(join(tmpdir(), 'hotseat-policies-'));
  writeFileSync(join(directory, 'a.yaml'), seatText('left', '{ kind: mouse }'));
  writeFileSync(join(directory, 'b.yaml'), seatText('left', '{ kind: mouse }'));
  symlinkSync('/etc/passwd', join(directory, 'c.yaml'));
  const loaded = loadDirectory(directory);
  rmSync(directory, { recursive: true });
  assert.not.ok(loaded.ok);
  if (!loaded.ok) assert.is(loaded.diagnostics.length, 3);
});

test.run();
