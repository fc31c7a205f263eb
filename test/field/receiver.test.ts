// Three things at one Unifying receiver, two Bluetooth keyboards at one adapter, two virtual pads of one name.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decider } from '../../agent/core/decide.js';
import { isThing, thingOf, thisVery } from '../../agent/core/loan.js';
import type { Thing } from '../../agent/core/policy.js';
import { alike, proposalsOf } from '../../agent/identify/proposal.js';
import { headsetButtons, keyboard, mouse, pad } from './driver/capabilities.js';
import { field, plug, type Seen } from './driver/field.js';

const pc = field(import.meta.url);
pc.usb('8', { ids: '046d:c52b', maker: 'Logitech', product: 'USB Receiver', serial: 'R1' }).receiver(2, [
  { ids: '046d:408a', name: 'Logitech MX Keys', uniq: '408a-4f-b5-e2-01', can: keyboard },
  { ids: '046d:408a', name: 'Logitech MX Keys', uniq: '408a-11-22-33-02', can: keyboard },
  { ids: '046d:4082', name: 'Logitech MX Master 3', uniq: '4082-aa-bb-cc-03', can: mouse },
]);
const adapter = pc.usb('7', { ids: '8087:0a2b' });
for (const [link, address] of [
  ['256', '90:7f:61:00:00:03'],
  ['257', '90:7f:61:00:00:04'],
] as const)
  pc.bluetooth('17ef:6048', address, [{ name: 'ThinkPad Keyboard', can: keyboard }], { link, usb: adapter });
for (const _ of [1, 2]) pc.virtual({ name: 'Wolf X-Box One (virtual) pad', phys: '00:11:22:33:44', can: pad });
pc.virtual({ name: 'Headset (AVRCP)', phys: 'aa:bb:cc:00:00:01', can: headsetButtons });

const seats = {
  left: '  - { label: all keys, match: { kind: keyboard } }',
  right: '  - { label: none, match: { sysname: none } }',
};

/** The devices that change hands when a thing is attached to the right seat. */
function moved(seen: Seen, thing: Thing): string[] {
  const decide = decider({ ...seen.policy, loans: [{ seat: 'right', thing, name: 'x', until: undefined, by: 0 }] });
  return seen.units.flatMap((unit) => {
    const verdict = decide(unit);
    return verdict.kind === 'seat' && verdict.claims[0]?.seat === 'right' ? [unit.head.sysname] : [];
  });
}

test('what is attached by hand is that thing alone', () => {
  const seen = plug(pc, seats);
  for (const name of ['input0', 'input1', 'input2', 'input3', 'input4'])
    assert.equal(moved(seen, thingOf(seen.unit(name))), [name]);
});

test('where nothing tells two apart, that is known before anything moves', () => {
  const seen = plug(pc, seats);
  const [one, other] = [seen.unit('input5'), seen.unit('input6')];
  assert.ok(isThing(thingOf(one), thingOf(other)));
  assert.equal(moved(seen, thisVery(one)), ['input5']);
});

test('what a program makes is proposed by its name, if nothing else is called so', () => {
  const seen = plug(pc, seats);
  const [twin, only] = [seen.unit('input5'), seen.unit('input7')];
  assert.equal(proposalsOf(twin, seen.units), []);
  assert.is(alike(twin, seen.units).length, 1);
  const match = { subsystem: 'input', attr: { name: 'Headset (AVRCP)' } };
  assert.equal(
    proposalsOf(only, seen.units).map((proposal) => proposal.match),
    [match],
  );
});

test('a proposal by serial number is for that thing alone, and one by port says what else is there', () => {
  const seen = plug(pc, seats);
  const [byPort, bySerial] = proposalsOf(seen.unit('input0'), seen.units);
  assert.equal(bySerial?.match, { subsystem: 'input', attr: { uniq: '408a-4f-b5-e2-01' } });
  assert.equal(bySerial?.also, []);
  assert.equal(byPort?.also.length, 2);
});

test.run();
