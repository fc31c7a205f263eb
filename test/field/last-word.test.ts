// The admin's own udev rules in files that sort after 73, and the tags of systemd 260.
import { mkdirSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hostWords } from '../../agent/control/status.js';
import { lastWords } from '../../agent/core/last-word.js';
import { mismatch } from '../../agent/core/match.js';
import { rulesThat } from '../../agent/host/later-rules.js';
import { keyboard, pad } from './driver/capabilities.js';
import { field, plug } from './driver/field.js';

const pc = field(import.meta.url);
pc.virtual({ name: 'keyd virtual keyboard', can: keyboard });
pc.virtual({ name: 'Wolf X-Box One (virtual) pad', can: pad });
pc.gpu(pc.pci('00:02.0', { ids: '8086:5916', class: '030000', driver: 'i915' }), 'card0', 'renderD128');

const seats = {
  left: `  - { label: what my own udev rule puts at seat1, match: { ID_SEAT: seat1 } }
  - { label: pads of the stream, match: { attr: { name: "Wolf X-Box One (virtual) pad" } } }
  - { label: the screen, match: { kind: display } }`,
};
const later = {
  '99-keyd.rules': 'SUBSYSTEM=="input", ATTRS{name}=="keyd*", ENV{ID_SEAT}="seat1"\n',
  '85-wolf.rules': '# mine\nSUBSYSTEMS=="input", ATTRS{name}=="Wolf X-Box One (virtual) pad", ENV{ID_SEAT}="seat9"\n',
};

test('a rule that comes later and has the last word is named', () => {
  const seen = plug(pc, seats, { more: later });
  const [word, ...more] = lastWords(seen.units, seen.verdicts).filter(({ device }) => device.endsWith('input1'));
  assert.equal([word?.what, word?.got, word?.wanted, more], ['seat', 'seat9', 'seat-left', []]);
  assert.equal(rulesThat('seat', 'seat9'), ['/run/udev/rules.d/85-wolf.rules:2']);
  const told = hostWords(seen.units, seen.verdicts).find(({ device }) => device.endsWith('input1'));
  assert.match(
    told?.reason ?? '',
    /^udev has it at seat9 instead of seat-left \(\/run\/udev\/rules\.d\/85-wolf\.rules:2\): /,
  );
});

test('a rule that cannot see what comes later says so', () => {
  const seen = plug(pc, seats, { more: later });
  const [rule] = seen.policy.seats[0]?.rules ?? [];
  assert.is(seen.owner('input0'), 'host');
  assert.is(
    rule && mismatch(rule, seen.unit('input0').head),
    'ID_SEAT is "seat1" only by a udev rule that comes after Hotseat\'s (72-zz-hotseat.rules), wanted seat1',
  );
  assert.is(rule && mismatch(rule, seen.unit('card0').head), 'ID_SEAT is another, wanted seat1', 'ours is not that');
});

test('the host steps back from every access tag that is known, and of others the rule is named', () => {
  const tags = (...names: readonly string[]) => ({
    '70-tags.rules': `SUBSYSTEM=="drm", KERNEL=="renderD*"${names.map((tag) => `, TAG+="${tag}"`).join('')}\n`,
  });
  // ConsoleKit's, that of systemd itself, and those for remote sessions as systemd 260 has them, and as it had them before.
  const all = ['udev-acl', 'uaccess', 'xaccess', 'xaccess-render', 'xaccess-accel'];
  const known = plug(pc, seats, { more: tags(...all) });
  assert.equal(lastWords(known.units, known.verdicts), []);
  for (const { tags: kept } of known.unit('card0').nodes) assert.not.ok(kept.some((tag) => all.includes(tag)));
  const other = plug(pc, seats, { more: tags('xaccess-compute') });
  assert.equal(
    lastWords(other.units, other.verdicts).map(({ device, what, got }) => [device, what, got]),
    [['/dev/dri/renderD128', 'tag', 'xaccess-compute']],
  );
  assert.equal(rulesThat('tag', 'xaccess-compute'), ['/run/udev/rules.d/70-tags.rules:1']);
});

test('a power key that a later rule gives to logind is said, and systemd’s own file is not blamed for what is imported', () => {
  const more = {
    '90-mine.rules': `SUBSYSTEM=="input", ATTRS{name}=="Wolf*", TAG+="power-switch"
SUBSYSTEM=="drm", KERNEL=="card0", IMPORT{program}="/usr/local/bin/seat-of-card"
SUBSYSTEM=="drm", KERNEL=="card0", ENV{ID_SEAT}="seat-$env{ID_PATH_TAG}"\n`,
  };
  const seen = plug(pc, seats, { more });
  const said = hostWords(seen.units, seen.verdicts).map(({ device, reason }) => [
    device.split('/').at(-1),
    reason.replace(/: .*/, ''),
  ]);
  const mine = '/run/udev/rules.d/90-mine.rules';
  const key = `udev gives its power keys to the host's logind by the tag power-switch (${mine}:1)`;
  const card = `udev has it at seat-pci-0000_00_02_0 instead of seat-left (${mine}:2, ${mine}:3)`;
  assert.equal(said, [
    ['input1', key],
    ['event1', key],
    ['js1', key],
    ['card0', card],
  ]);
});

test('a file hides those of its name further down', () => {
  for (const [directory, seat] of [
    ['/run/upper', 'seat-a'],
    ['/run/lower', 'seat-b'],
  ] as const) {
    mkdirSync(directory);
    writeFileSync(`${directory}/90-x.rules`, `ENV{ID_SEAT}="${seat}"\n`);
  }
  const roots = ['/run/upper', '/run/lower'];
  assert.equal(
    [rulesThat('seat', 'seat-a', roots), rulesThat('seat', 'seat-b', roots)],
    [['/run/upper/90-x.rules:1'], []],
  );
});

test.run();
