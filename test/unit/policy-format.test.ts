import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { kinds } from '../../agent/core/policy.js';
import { formatDiagnostic } from '../../agent/policy/diagnostics.js';
import { diffLines } from '../../agent/policy/diff.js';
import { formatText } from '../../agent/policy/format.js';
import { parseSeat } from '../../agent/policy/parse.js';
import { checkout, hotseat } from './hotseat.js';

const formatted = (text: string, file = 'left.yaml'): string => {
  const done = formatText(file, text);
  if ('diagnostics' in done) throw new Error(done.diagnostics.map(formatDiagnostic).join('\n'));
  return done.text;
};

test('one form: keys in order, two spaces, short things on one line, comments where they were', () => {
  const text = `%YAML 1.2
---
# The left seat.

container:   {name: left,   engine: lxc}   # by its name
devices:
- match:
    not: {kind: 'mouse'}
    # the hub
    port:
    - pci-0000:00:14.0-usb-0:2
  # of this rule
  label: &a !!str whatever hangs
    there
- {share: "true", label: speakers, match: {ID_VENDOR_ID: 0012, subsystem: sound}}

seat: left
# the end
`;
  assert.is(
    formatted(text),
    `# The left seat.

seat: left
container: { engine: lxc, name: left } # by its name
devices:
  # of this rule
  - label: whatever hangs there
    match:
      # the hub
      port: [pci-0000:00:14.0-usb-0:2]
      not: { kind: "mouse" }
  - label: speakers
    match: { subsystem: sound, ID_VENDOR_ID: "0012" }
    share: true

# the end
`,
  );
});

test('what is too long for a line is put on several, and back', () => {
  const ports = Array.from({ length: 5 }, (_, index) => `pci-0000:00:14.0-usb-0:${index}`);
  const seat = (match: string) =>
    `seat: left\ncontainer: { engine: lxc, name: left }\ndevices:\n  - label: x\n    match:${match}\n`;
  const long = formatted(seat(` { kind: mouse, port: [ ${ports.join(', ')} ] }`));
  assert.is(long, seat(`\n      kind: mouse\n      port:\n${ports.map((port) => `        - ${port}`).join('\n')}`));
  const short = formatted(seat(`\n      kind: mouse\n      port:\n        - ${ports[0]}`));
  assert.is(short, seat(` { kind: mouse, port: [ ${ports[0]} ] }`).replace('[ ', '[').replace(' ]', ']'));
  for (const line of long.split('\n')) assert.ok(line.length <= 120);
});

/** Seat files as nobody would write them, each of them good. */
const value = fc.oneof(
  fc.constantFrom(
    '0012',
    'true',
    'null',
    '~',
    '""',
    'a b',
    "'a b'",
    '"x: y"',
    "'- x'",
    '1e10',
    'a*',
    '"#x"',
    '"[a]"',
    'é',
  ),
  fc.constantFrom('"a\\u0020b"', '"a\\\n        b"', 'a\n        b', '!!str 5', '&x 7', "'it''s'", '"\\x41"'),
);
const remark = fc.constantFrom('', '', '', '', '# one', '# two: { x }', '#');
const oneOrMore = (item: fc.Arbitrary<string>) =>
  fc.oneof(
    item,
    fc.array(item, { minLength: 1, maxLength: 3 }).map((items) => `[${items.join(', ')}]`),
    fc
      .tuple(fc.array(item, { minLength: 1, maxLength: 3 }), remark, remark, remark)
      .map(([items, ...[a, b, c]]) => `[${a}\n         ${items.join(`, ${b}\n         `)} ${c}\n        ]`),
    fc.array(item, { minLength: 1, maxLength: 6 }).map((items) => items.map((one) => `\n        - ${one}`).join('')),
  );
const entry = (indent: string) =>
  fc
    .record({
      above: remark,
      behind: remark,
      blank: fc.boolean(),
      key: fc.constantFrom('kind', 'port', 'sysname', 'ID_MODEL', 'ID_A', 'ID_B', 'ID_C', '"ID_D"'),
      any: oneOrMore(value),
      kind: oneOrMore(fc.constantFrom(...kinds)),
      port: oneOrMore(fc.constantFrom('pci-1-usb-0:2', '"pci-1-usb-0:3"')),
    })
    .map(({ above, behind, blank, key, any, kind, port }) => {
      const text = key === 'kind' ? kind : key === 'port' ? port : any;
      const note = above === '' ? '' : `${indent}${above}\n`;
      return { key, text: `${blank ? '\n' : ''}${note}${indent}${key}: ${text}${behind === '' ? '' : ` ${behind}`}\n` };
    });
const entries = (indent: string) =>
  fc
    .uniqueArray(entry(indent), { minLength: 1, maxLength: 5, selector: ({ key }) => key })
    .map((all) => all.map(({ text }) => text).join(''));
const part = (name: string) =>
  fc
    .tuple(remark, fc.boolean())
    .map(([note, blank]) => `${blank ? '\n' : ''}${note === '' ? '' : `    ${note}\n`}    ${name}`);
const rule = fc
  .tuple(
    entries('      '),
    fc.option(entries('        ')),
    fc.option(fc.constantFrom('true', '"false"', "'true'")),
    part('label'),
    part('match'),
    fc.boolean(),
    remark,
  )
  .map(([match, not, share, label, head, matchFirst, note]) => {
    const labelled = `${label}: x ${note}\n`;
    const matched = `${head}:\n${match}${not === null ? '' : `      not:\n${not}`}`;
    const shared = share === null ? '' : `    share: ${share}\n`;
    // The dash takes the place of two spaces before the first key, which then has no comment above.
    const [first, second] = matchFirst ? [matched, labelled] : [labelled, matched];
    return `  -\n${shared}${first}${second}`;
  });
const flowRule = fc
  .tuple(
    fc.uniqueArray(
      fc.constantFrom('kind: mouse', 'ID_A: [0012, b]', 'not: { kind: [mouse, keyboard] }', 'port: pci-1'),
      { minLength: 1 },
    ),
    remark,
    remark,
    remark,
    fc.boolean(),
  )
  .map(([parts, above, inside, behind, long]) => {
    const label = long ? 'x'.repeat(100) : 'x';
    return `${above === '' ? '' : `  ${above}\n`}  - { match: { ${parts.join(', ')} }, ${inside}\n      label: ${label} } ${behind}\n`;
  });
const seatText = fc
  .tuple(fc.array(fc.oneof(rule, flowRule), { maxLength: 3 }), remark, remark, fc.boolean(), fc.boolean())
  .map(([rules, top, end, late, flow]) => {
    const container = flow
      ? `container: { name: left, engine: lxc } ${top}\n`
      : `container:\n  name: left\n  ${end}\n  engine: lxc\n`;
    const devices = `devices:${rules.length === 0 ? ' []' : ''}\n${rules.join('')}`;
    return `${top}\n${late ? '' : 'seat: left\n'}${end}\n${devices}${container}${late ? 'seat: left\n' : ''}${end}\n`;
  });

const comments = (text: string): string[] => [...text.matchAll(/# one|# two: \{ x \}/g)].map(([found]) => found).sort();

test('formatting changes no meaning, loses no comment, and is done once', () => {
  let good = 0;
  fc.assert(
    fc.property(seatText, (text) => {
      const before = parseSeat('left.yaml', text);
      if ('diagnostics' in before) return;
      good += 1;
      const once = formatted(text);
      const after = parseSeat('left.yaml', once);
      if ('diagnostics' in after) throw new Error(after.diagnostics.map(formatDiagnostic).join('\n'));
      const meant = ({ seat, hosts }: typeof after) => ({
        ...seat,
        hosts,
        rules: seat.rules.map((one) => ({ ...one, place: 0 })),
      });
      assert.equal(meant(after), meant(before));
      assert.is(formatted(once), once, text);
      assert.equal(comments(once), comments(text), text);
    }),
    { numRuns: 2000 },
  );
  assert.ok(good > 500, `${good} of the texts are seat files`);
});

test('a switch is one for every reader, and what looks like a number is quoted', () => {
  const text = formatted(`seat: left
container: { engine: lxc, name: 1 }
devices:
  - { label: 7, share: 'false', match: { ID_MODEL: null, ID_A: 0x1F, ID_B: 'x' } }
`);
  assert.is(
    text,
    `seat: left
container: { engine: lxc, name: "1" }
devices:
  - label: "7"
    match: { ID_MODEL: "null", ID_A: "0x1F", ID_B: "x" }
    share: false
`,
  );
});

test('a file with errors is not touched, and says what they are', () => {
  const done = formatText('left.yaml', 'seat: left\nsaet: x\n');
  assert.ok('diagnostics' in done && done.diagnostics.length >= 2);
  for (const text of ['', '[', '- x', '['.repeat(50_000), 'a: &a [*a]', 'seat: \u001b[2J'])
    assert.ok('diagnostics' in formatText('left.yaml', text), text.slice(0, 20));
});

test('the example policies have that form, with their tests and devices', async () => {
  const { exitCode, stdout } = await hotseat('fmt', join(checkout, 'policies'), '--check');
  assert.is(exitCode, 0, stdout);
});

test('a difference names the lines that go and come', () => {
  assert.equal(diffLines('a\nb\nc\n', 'a\nx\nc\n'), ['-2 b', '+2 x']);
  assert.equal(diffLines('a\nb\nc', 'b\nc\nd'), ['-1 a', '+3 d']);
  assert.equal(diffLines('a', 'a'), []);
  const lines = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 8 });
  fc.assert(
    fc.property(lines, lines, (a, b) => {
      const edits = diffLines(a.join('\n'), b.join('\n')).map((edit) => /^([-+])(\d+) (.*)$/.exec(edit) ?? []);
      const gone = new Set(edits.flatMap(([, sign, line]) => (sign === '-' ? [Number(line)] : [])));
      const kept = (a.length === 0 ? [''] : a).filter((_, index) => !gone.has(index + 1));
      for (const [, sign, line, text = ''] of edits) if (sign === '+') kept.splice(Number(line) - 1, 0, text);
      assert.equal(kept, b.length === 0 ? [''] : b);
    }),
  );
});

test('the verb: --check names files and changes none; files are replaced as a whole, with their mode', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'hotseat-fmt-'));
  try {
    const file = join(directory, 'left.yaml');
    const text = 'container: {engine: lxc, name: left}\nseat: left\ndevices: []\n';
    writeFileSync(file, text);
    chmodSync(file, 0o640);
    const checked = await hotseat('fmt', directory, '--check');
    assert.is(checked.exitCode, 1);
    assert.is(
      checked.stdout,
      `${file}: not formatted\n  -1 container: {engine: lxc, name: left}\n  +2 container: { engine: lxc, name: left }`,
    );
    assert.is(readFileSync(file, 'utf8'), text);
    const [answer] = JSON.parse((await hotseat('fmt', file, '--check', '--json')).stdout);
    assert.is(answer.file, file);
    assert.is(answer.diff.length, 2);
    const done = await hotseat('fmt', directory);
    assert.is(done.exitCode, 0, done.stderr);
    assert.is(readFileSync(file, 'utf8'), 'seat: left\ncontainer: { engine: lxc, name: left }\ndevices: []\n');
    assert.is(statSync(file).mode & 0o777, 0o640);
    assert.is((await hotseat('fmt', file, '--check')).exitCode, 0);

    writeFileSync(join(directory, 'bad.yaml'), 'seat: left\nsaet: x\n');
    symlinkSync('left.yaml', join(directory, 'link.yaml'));
    const bad = await hotseat('fmt', directory);
    assert.is(bad.exitCode, 1);
    assert.match(bad.stderr, /bad\.yaml:2:1: unknown key "saet": did you mean "seat"\?/);
    assert.match(bad.stderr, /link\.yaml:1:1: is a link/);
    assert.is((await hotseat('fmt', join(directory, 'none.yaml'))).exitCode, 2);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test.run();
