import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decider, hostSeat } from '../../agent/core/decide.js';
import type { Device, Unit } from '../../agent/core/device.js';
import { type Condition, kinds, type Policy } from '../../agent/core/policy.js';
import { formatDiagnostic } from '../../agent/policy/diagnostics.js';
import { parseFixture } from '../../agent/policy/fixture.js';
import { loadDirectory } from '../../agent/policy/load.js';
import { unfitProperty } from '../../agent/policy/schema.js';
import { compileRules } from '../../agent/policy/udev-rules.js';
import { checkout } from './hotseat.js';
import { anyPolicy, policyOf } from './policy-arbitraries.js';
import { type Modelled, run, tokens } from './policy-udev-model.js';

/** The output of `hotseat record` for the lab's devices. */
const recorded: readonly Unit[] = readdirSync(join(checkout, 'policies/tests/devices')).map((name) => {
  const parsed = parseFixture(name, readFileSync(join(checkout, 'policies/tests/devices', name), 'utf8'));
  if ('diagnostics' in parsed) throw new Error(parsed.diagnostics.map(formatDiagnostic).join('\n'));
  return parsed.unit;
});

/**
 * Properties that udev gives a sound card only after the seat is decided (78-sound-card), unless our rules ask for it.
 */
const identity = /^ID_(BUS|VENDOR|MODEL|SERIAL|REVISION|TYPE|INSTANCE|USB_)/;

/** A device as it is when our rules begin: without their results, and those of later rules. */
function before(device: Device, admin: string | undefined): Pick<Modelled, 'device' | 'builtins'> {
  const own = Object.entries(device.properties).filter(
    ([key]) => !key.startsWith('HOTSEAT_') && key !== 'ID_SEAT' && !unfitProperty(key),
  );
  const later = device.subsystem === 'sound' ? own.filter(([key]) => identity.test(key)) : [];
  const properties = {
    ...Object.fromEntries(own.filter((entry) => !later.includes(entry))),
    ...(admin === undefined ? {} : { ID_SEAT: admin }),
  };
  return { device: { ...device, properties }, builtins: { usb_id: Object.fromEntries(later) } };
}

/** The unit as the agent has it once udev is done, with the admin's word in its place. */
function judged(unit: Unit, admin: string | undefined): Unit {
  const { HOTSEAT_ADMIN_SEAT: _, ...rest } = unit.head.properties;
  const properties = admin === undefined ? rest : { ...rest, HOTSEAT_ADMIN_SEAT: admin };
  return { ...unit, head: { ...unit.head, properties } };
}

/** Rules on a unit's head, then on each node with the head for a parent; a card and its render node have none. */
function seatsByUdev(policy: Policy, unit: Unit, admin: string | undefined): (string | undefined)[] {
  const rules = tokens(compileRules(policy));
  const files = [`device/drm/${unit.head.sysname}`, ...unit.nodes.map(({ sysname }) => sysname)];
  const head = run(rules, { ...before(unit.head, admin), parent: {}, files });
  const below = unit.nodes
    .filter(({ syspath }) => syspath !== unit.head.syspath)
    .map((node) => {
      const parent = unit.subsystem === 'drm' ? {} : head;
      return run(rules, { ...before(node, unit.subsystem === 'drm' ? admin : undefined), parent, files });
    });
  return [head, ...below].map((env) => env['HOTSEAT_SEAT']);
}

/** Parts of the present devices, as people would write them. */
const texts = (value: string): string[] => {
  const safe = /["|\\]|\s$/.test(value) ? [] : [value];
  return [
    ...safe,
    `${value.slice(0, 4).replace(/["|\\[\]]/g, '?')}*`,
    `*${value.slice(-3).replace(/["|\\[\]]/g, '?')}`,
  ];
};
const heads = recorded.map(({ head }) => head);
const properties = heads.flatMap((head) =>
  Object.entries(head.properties).flatMap(([key, value]) =>
    unfitProperty(key) || !/^[A-Z][A-Z0-9_]*$/.test(key) ? [] : texts(value).map((text) => ({ key, text })),
  ),
);
const attributes = heads.flatMap((head) =>
  [head, ...head.ancestors].flatMap((holder) =>
    Object.entries(holder.attributes).flatMap(([key, value]) => texts(value).map((text) => ({ key, text }))),
  ),
);
const ports = [
  ...new Set(
    heads.flatMap((head) => {
      const path = head.properties['ID_PATH'] ?? '';
      return [path, path.replace(/:\d+\.\d+$/, ''), path.replace(/\.\d+:\d+\.\d+$/, ''), path.slice(0, -1)];
    }),
  ),
].filter((port) => /^[a-z]+-[A-Za-z0-9:._-]+$/.test(port));

const negate = fc.boolean();
const condition: fc.Arbitrary<Condition> = fc.oneof(
  fc
    .tuple(fc.constantFrom(...properties), negate)
    .map(([{ key, text }, not]): Condition => ({ on: 'property', key, patterns: [text], negate: not })),
  fc.constantFrom(...attributes).map(({ key, text }): Condition => ({ on: 'attribute', key, patterns: [text] })),
  fc.record({
    on: fc.constant('port' as const),
    patterns: fc.array(fc.constantFrom(...ports), { minLength: 1, maxLength: 2 }),
    negate,
  }),
  fc.record({
    on: fc.constant('kind' as const),
    patterns: fc.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 2 }),
    negate,
  }),
  fc.record({
    on: fc.constant('subsystem' as const),
    patterns: fc.array(fc.constantFrom('input', 'sound', 'drm'), { minLength: 1, maxLength: 2 }),
    negate,
  }),
  fc.record({
    on: fc.constant('sysname' as const),
    patterns: fc.constantFrom(['card1'], ['card[02]', 'input?'], ['*5']),
    negate,
  }),
  fc.constant<Condition>({ on: 'property', key: 'ID_SEAT', patterns: ['seat-x'], negate: false }),
);
/** Policies about these very devices, so that many of their rules match. */
const fitting = fc
  .array(fc.array(fc.array(condition, { minLength: 1, maxLength: 3 }), { maxLength: 3 }), {
    minLength: 1,
    maxLength: 3,
  })
  .chain((seats) => fc.boolean().map((share) => policyOf(seats, share)));

test('of every recorded device, udev and the agent say the same, whatever the policy', () => {
  const seen = { host: 0, seat: 0, conflict: 0 };
  fc.assert(
    fc.property(
      fc.oneof({ weight: 5, arbitrary: fitting }, { weight: 1, arbitrary: anyPolicy }),
      fc.constantFrom(undefined, undefined, 'seat-x'),
      (policy, admin) => {
        for (const unit of recorded) {
          const verdict = decider(policy)(judged(unit, admin));
          assert.is.not(verdict.kind, 'unread');
          if (verdict.kind !== 'unread') seen[verdict.kind] += 1;
          const expected = hostSeat(verdict);
          assert.equal(
            seatsByUdev(policy, unit, admin),
            [unit.head, ...unit.nodes.filter((node) => node.syspath !== unit.head.syspath)].map(() => expected),
            unit.id,
          );
        }
      },
    ),
    { numRuns: 1500 },
  );
  for (const [kind, count] of Object.entries(seen)) assert.ok(count > 500, `${kind} ${count} times`);
});

test('the lab itself: what udevd wrote into each recorded device is what the example policies say', () => {
  const loaded = loadDirectory(join(checkout, 'policies'));
  assert.ok(loaded.ok);
  for (const unit of recorded) {
    const expected = hostSeat(decider(loaded.policy)(unit));
    for (const { properties: said, syspath } of [unit.head, ...unit.nodes]) {
      assert.is(said['HOTSEAT_SEAT'], expected, syspath);
      assert.is(said['ID_SEAT'], expected, syspath);
    }
    assert.ok([...new Set(seatsByUdev(loaded.policy, unit, undefined))].every((seat) => seat === expected));
  }
});

test.run();
