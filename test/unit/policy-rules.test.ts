import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decider, hostSeat } from '../../agent/core/decide.js';
import type { Condition, Policy } from '../../agent/core/policy.js';
import { compose } from '../../agent/policy/load.js';
import { parseSeat } from '../../agent/policy/parse.js';
import { compileRules } from '../../agent/policy/udev-rules.js';
import { anyHead, anyPolicy, head, policyOf, unit } from './policy-arbitraries.js';
import { run, type Token, tokens } from './policy-udev-model.js';

/** Files that a render node's rules may ask for: its card is card1. */
const files = ['device/drm/card1'];
const plain = (key: string, ...patterns: string[]): Condition => ({ on: 'property', key, patterns, negate: false });
const port = (...patterns: string[]): Condition => ({ on: 'port', patterns, negate: false });

/** Everything that rules of ours may do beside matching. */
const allowed =
  /^(ENV\{(\.?HOTSEAT_[A-Za-z0-9_]+|ID_SEAT|ID_BUS|ID_VENDOR_ID|ID_MODEL_ID)\}=|TAG\{\}-=|RUN\{builtin\}\+=|GOTO\{\}=|LABEL\{\}=|IMPORT\{(parent|builtin|db)\}=)$/;
const acts = (rules: readonly Token[][]): Token[] =>
  rules.flat().filter(({ operator }) => operator !== '==' && operator !== '!=');

function checkActs(rules: readonly Token[][]): void {
  for (const { key, attribute = '', operator, value } of acts(rules)) {
    assert.match(`${key}{${attribute}}${operator}`, allowed);
    if (key === 'IMPORT' && attribute === 'builtin') assert.match(value, /^(usb_id|path_id)$/);
    if (key === 'RUN') assert.is(value, 'uaccess');
    if (key === 'TAG') assert.match(value, /^(uaccess|power-switch|udev-acl|xaccess(-render|-accel)?|master-of-seat)$/);
    if (key === 'ENV' && /[$%]/.test(value))
      assert.match(
        value,
        /^\$(env\{(SYNTH_ARG_HOTSEAT|ID_SEAT|\.HOTSEAT_HOST_SEAT|HOTSEAT_SEAT|HOTSEAT_ADMIN_SEAT)\}|attr\{(vendor|device)\})$/,
      );
  }
}

test('hostile values are refused, or stay values: nothing but ours is set, nothing is run, no line is added', () => {
  const pieces = [
    '"',
    '\\',
    '|',
    '\n',
    '\r',
    '\0',
    '$env{X}',
    '%k',
    '", RUN+="/bin/sh -c id',
    'e"',
    "'",
    '#',
    '*',
    '[',
    '{}',
  ];
  const more = ['a\u2028b', '\u001b[2J', '\u202e', ' ', 'GOTO=', ', TAG+=', 'ü', '\ud800', '\\\n'];
  const hostile = fc
    .array(fc.oneof(fc.constantFrom(...pieces, ...more), fc.string({ maxLength: 4 })), { maxLength: 5 })
    .map((parts) => parts.join(''));
  let compiled = 0;
  fc.assert(
    fc.property(
      hostile,
      hostile,
      fc.constantFrom('ID_MODEL', 'sysname', 'port', 'attr', 'label', 'not'),
      (one, two, where) => {
        const list = JSON.stringify([one, two]);
        const forms: Record<string, string> = { attr: `attr: { name: ${list} }`, not: `not: { ID_MODEL: ${list} }` };
        const match = forms[where] ?? `${where}: ${list}`;
        const label = where === 'label' ? JSON.stringify(one) : 'x';
        const text = `seat: left\ncontainer: { engine: lxc, name: x }\ndevices:\n  - label: ${label}\n    match: { ${where === 'label' ? 'kind: mouse' : match} }\n`;
        const parsed = parseSeat('x.yaml', text);
        if ('diagnostics' in parsed) {
          // The messages about it go to a terminal.
          for (const { message, remedy } of parsed.diagnostics) assert.not.match(message + remedy, /[\p{Cc}\u2028]/u);
          return;
        }
        compiled += 1;
        const rules = compileRules({ revision: 'x', seats: [parsed.seat], console: 'mute' });
        checkActs(tokens(rules));
        assert.not.match(rules, /[^\P{Cc}\n]/u);
      },
    ),
    { numRuns: 4000 },
  );
  assert.ok(compiled > 100, 'the corpus has values that are let through');
});

test('a value that got past the schema is not compiled', () => {
  for (const hostile of ['"', '|', '\\', '\n', 'a", RUN+="x'])
    for (const condition of [
      plain('ID_MODEL', hostile),
      port(hostile),
      { on: 'attribute', key: 'name', patterns: [hostile] },
    ] as const)
      assert.throws(() => compileRules(policyOf([[[condition]]])), /not a value/);
});

test("udev's reading of the rules is the agent's verdict", () => {
  fc.assert(
    fc.property(anyPolicy, anyHead, (policy, device) => {
      const rules = tokens(compileRules(policy));
      checkActs(rules);
      // The admin said it of the device itself; the model runs no builtin, so that their properties are there already.
      const { HOTSEAT_ADMIN_SEAT: admin, ...properties } = device.properties;
      const before = { ...properties, ...(admin === undefined ? {} : { ID_SEAT: admin }) };
      const after = run(rules, { device: { ...device, properties: before }, parent: {}, files });
      const verdict = decider(policy)(unit(device));
      assert.is(after['HOTSEAT_SEAT'], hostSeat(verdict));
      assert.is(after['ID_SEAT'], hostSeat(verdict) ?? admin);
      assert.is(after['HOTSEAT_ADMIN_SEAT'], admin, 'kept, so that the output never becomes the input');
    }),
    { numRuns: 5000 },
  );
});

test('a render node goes where the card beside it goes', () => {
  fc.assert(
    fc.property(anyPolicy, anyHead, (policy, device) => {
      if (device.subsystem !== 'drm') return;
      const { HOTSEAT_ADMIN_SEAT: _, ...properties } = device.properties;
      const card = { ...device, properties };
      const after = run(tokens(compileRules(policy)), {
        device: { ...card, sysname: 'renderD129' },
        parent: {},
        files,
      });
      assert.is(after['HOTSEAT_SEAT'], hostSeat(decider(policy)(unit(card))));
    }),
    { numRuns: 3000 },
  );
});

const left = policyOf([[[port('pci-1-usb-0:2')]], [[port('pci-1-usb-0:3'), plain('ID_SERIAL', 'x')]]]);

test('children take over the seat of their head and lose power keys and access', () => {
  const event = { ...head({}), sysname: 'event3' };
  const rules = tokens(compileRules(left));
  const after = run(rules, { device: event, parent: { HOTSEAT_SEAT: 'seat-s0', ID_SEAT: 'seat-s0' }, files });
  assert.is(after['ID_SEAT'], 'seat-s0');
  const last = rules.find((line) => line.some(({ key }) => key === 'TAG')) ?? [];
  assert.equal(
    last
      .filter(({ key }) => key === 'TAG')
      .map(({ value }) => value)
      .sort(),
    ['power-switch', 'uaccess', 'udev-acl', 'xaccess', 'xaccess-accel', 'xaccess-render'],
  );
});

test('the seat of what something hangs on is not its own: jacks of a card, things below a marked hub', () => {
  const rules = tokens(compileRules(left));
  const parent = { HOTSEAT_SEAT: 'seat-s0', ID_SEAT: 'seat-s0' };
  const jack = run(rules, { device: head({ properties: { ID_PATH: 'pci-9' } }), parent, files });
  assert.is(jack['ID_SEAT'], 'seat0');
  assert.is(jack['HOTSEAT_ADMIN_SEAT'], undefined);
  const told = { ...parent, HOTSEAT_ADMIN_SEAT: 'seat-x' };
  assert.is(run(rules, { device: head({}), parent: told, files })['ID_SEAT'], 'seat-x');
  assert.is(run(rules, { device: head({}), parent: { ID_SEAT: 'seat-y' }, files })['HOTSEAT_ADMIN_SEAT'], 'seat-y');
});

test('hubs are marked, and only by a rule that wants all that hangs there', () => {
  const hub = (path: string) => ({
    ...head({ properties: { ID_PATH: path, DEVTYPE: 'usb_device' } }),
    subsystem: 'usb',
    sysname: '1-2',
    attributes: { bDeviceClass: '09' },
  });
  const seatOf = (path: string, parent = {}) =>
    run(tokens(compileRules(left)), { device: hub(path), parent, files })['ID_SEAT'];
  assert.is(seatOf('pci-1-usb-0:2'), 'seat-s0');
  assert.is(seatOf('pci-1-usb-0:2.1'), 'seat-s0');
  assert.is(seatOf('pci-1-usb-0:3'), undefined);
  assert.is(seatOf('pci-1-usb-0:9', { HOTSEAT_SEAT: 'seat-s0' }), 'seat-s0', 'inherited');
});

test('a sound card knows its ids before its seat is decided, where a policy asks for them', () => {
  const asks = (...conditions: Condition[]) => compileRules(policyOf([[conditions]])).includes('usb_id');
  const sound: Condition = { on: 'subsystem', patterns: ['sound'], negate: false };
  assert.ok(asks(sound, plain('ID_VENDOR_ID', '0d8c')));
  assert.ok(asks({ on: 'kind', patterns: ['sound'], negate: false }, plain('ID_VENDOR_ID', '0d8c')));
  assert.ok(asks(plain('ID_VENDOR_ID', '0d8c')), 'a rule that names no subsystem is about sound cards as well');
  assert.not.ok(asks({ ...sound, patterns: ['input'] }, plain('ID_VENDOR_ID', '0d8c')));
  assert.not.ok(asks({ on: 'kind', patterns: ['keyboard'], negate: false }, plain('ID_VENDOR_ID', '0d8c')));
  assert.not.ok(asks(sound));
  assert.not.ok(asks(sound, plain('ID_PATH', 'x')));
  assert.not.ok(asks({ ...sound, patterns: ['drm'] }, plain('ID_VENDOR_ID', '0d8c')));
});

test('what a rule asks for beside an input changes nothing for that on the host', () => {
  fc.assert(
    fc.property(anyPolicy, anyHead, (policy, device) => {
      const without = policy.seats.map((seat) => ({
        ...seat,
        rules: seat.rules.map((rule) => ({ ...rule, hidraw: false })),
      }));
      const seat = (one: Policy) => run(tokens(compileRules(one)), { device, parent: {}, files })['ID_SEAT'];
      assert.is(seat(policy), seat({ ...policy, seats: without }));
    }),
  );
});

test('no line asks the same twice, which udevadm verify refuses', () => {
  const looksAt = (condition: Condition): string =>
    condition.on === 'port' ? 'ID_PATH' : 'key' in condition ? condition.key : condition.on;
  // A condition that a rule has twice is its author's affair.
  const isOnce = (conditions: readonly Condition[]): boolean =>
    new Set(conditions.map(looksAt)).size === conditions.length &&
    !conditions.some(({ on }) => on === 'subsystem' || on === 'kind');
  const asked = ({ key, attribute, operator, value }: Token): string =>
    JSON.stringify([key, attribute, operator, [...new Set(value.split('|'))].sort()]);
  fc.assert(
    fc.property(anyPolicy, (policy) => {
      const seats = policy.seats.map((seat) => ({
        ...seat,
        rules: seat.rules.filter(({ conditions }) => isOnce(conditions)),
      }));
      for (const line of tokens(compileRules({ ...policy, seats }))) {
        const all = line.map(asked);
        assert.is(new Set(all).size, all.length, all.join(', '));
      }
    }),
    { numRuns: 2000 },
  );
});

test('alternatives that multiply are bounded, and none is written twice', () => {
  const seat = (match: string, count = 1) =>
    `seat: left\ncontainer: { engine: lxc, name: left }\ndevices:\n${`- { label: x, match: ${match} }\n`.repeat(count)}`;
  const messages = (text: string): string[] => {
    const loaded = compose([{ name: 'left.yaml', text }], 'none', 'pc');
    return loaded.ok ? [] : loaded.diagnostics.map(({ place, message }) => `${place.line} ${message}`);
  };
  // Seven ways to be no `keys`; twelve times that would be 7 to the power of 12.
  const parsed = parseSeat('left.yaml', seat(`{ not: { kind: [${Array(12).fill('keys').join(', ')}] } }`));
  assert.ok('seat' in parsed);
  const rules = compileRules({ revision: 'none', console: 'mute', seats: [parsed.seat] });
  assert.is(rules.split('\n').filter((line) => line.includes('ENV{.HOTSEAT_WANTED_left}="1"')).length, 7);
  const wide = '{ sysname: "card*", kind: [sound, microphone, speaker, display, jack], not: { kind: keys } }';
  assert.equal(messages(seat(wide)), ['4 "match" has 595 alternatives, each of which is a rule for udev']);
  const narrow = '{ sysname: "card*" }';
  assert.equal(messages(seat(narrow, 1000)), []);
  assert.equal(messages(seat(narrow, 1200)), [
    '1 with this file the policy has over 20000 alternatives, each of which is a rule for udev',
  ]);
});

test.run();
