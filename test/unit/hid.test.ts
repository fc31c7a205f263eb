import { release } from 'node:os';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Hidraws } from '../../agent/assign/hidraws.js';
import type { Unit } from '../../agent/core/device.js';
import { hidDeviceOf, hidDevicesAbove, overhears, placementOf } from '../../agent/core/hid.js';
import type { Rule } from '../../agent/core/policy.js';
import type { Verdict } from '../../agent/core/verdict.js';
import { DeviceTable } from '../../agent/udev/table.js';

const hid = '/sys/devices/no-such-bus/usb1/1-1/1-1:1.0/0003:054C:0CE6.0004';
const raw = `${hid}/hidraw/hidraw0`;
const pad = `${hid}/input/input7`;
const touchpad = `${hid}/input/input8`;

const rule = (hidraw: boolean): Rule => ({
  ...{ label: 'x', place: { file: 'x.yaml', line: 1, column: 1 }, conditions: [], share: false },
  ...{ access: {}, hidraw, byName: false, whole: false, revoke: 'auto' },
});
const ofSeats = (hidraw: boolean, ...seats: string[]): Verdict => ({
  kind: 'seat',
  claims: seats.map((seat) => ({ seat, rule: rule(hidraw) })),
  trace: [],
});
const conflict: Verdict = { kind: 'conflict', claims: [], trace: [] };
const host: Verdict = { kind: 'host', trace: [] };
const place = (...verdicts: (Verdict | undefined)[]) =>
  placementOf(verdicts.map((verdict, index) => ({ name: `input${index + 7}`, verdict })));

test('HID devices are known by their names in sysfs', () => {
  assert.equal(hidDevicesAbove(pad), [hid]);
  assert.equal(hidDevicesAbove(`${hid}/0003:046D:4055.0005/input/input20/event3`), [hid, `${hid}/0003:046D:4055.0005`]);
  assert.equal(hidDevicesAbove(hid), [], 'not of itself');
  assert.equal(hidDevicesAbove('/sys/devices/pci0000:00/0000:00:02.0/drm'), []);
  assert.is(hidDeviceOf(raw), hid);
  for (const other of [pad, hid, '/sys/devices/x/hidraw/hidraw0', `${hid}/hidraw/hidraw0/device`]) {
    assert.is(hidDeviceOf(other), undefined, other);
  }
});

test('what is done at an input is read at the raw node of its device, and of the receiver that it is paired with', () => {
  const paired = `${hid}/0003:046D:4055.0005`;
  for (const other of [raw, pad, touchpad, `${paired}/input/input9`, `${paired}/hidraw/hidraw1`]) {
    assert.ok(overhears(raw, other), other);
    assert.ok(overhears(other, raw), other);
  }
  assert.ok(overhears(pad, pad));
  assert.not.ok(overhears(pad, touchpad));
  assert.not.ok(overhears(`${paired}/hidraw/hidraw1`, pad));
  assert.not.ok(overhears(raw, `${hid.slice(0, -1)}5/input/input7`));
});

test('a raw node goes where all inputs of its device are, and to one seat alone', () => {
  const placed = place(ofSeats(true, 'left'), ofSeats(false, 'left'));
  assert.is(placed?.kind === 'seat' && placed.claim.seat, 'left');
  assert.is(place(ofSeats(false, 'left')), undefined, 'nobody asks for it');
  assert.is(place(host), undefined);
  assert.equal(place(ofSeats(true, 'left'), host, undefined), {
    kind: 'withheld',
    reason: 'its inputs are not all of one seat alone: input7 left, input8 host, input9 unknown',
  });
  for (const other of [ofSeats(true, 'right'), ofSeats(true, 'left', 'right'), conflict]) {
    assert.is(place(ofSeats(true, 'left'), other)?.kind, 'withheld');
  }
  assert.is(place(ofSeats(true, 'left', 'right'))?.kind, 'withheld', 'it is not shared');
});

function plugged(kernel = release()) {
  const table = new DeviceTable();
  const say = (action: string, syspath: string, properties: Record<string, string>) =>
    table.take({ kind: 'event', event: { action, syspath, receivedNs: '1', properties } });
  const input = (action: string, syspath: string) => say(action, syspath, { SUBSYSTEM: 'input' });
  for (const syspath of [pad, touchpad]) input('add', syspath);
  say('add', raw, { SUBSYSTEM: 'hidraw', DEVNAME: '/dev/hidraw0', MAJOR: '245', MINOR: '0' });
  const verdicts = new Map<string, Verdict>();
  const covered: (number | undefined)[] = [];
  const isGuarded = ({ head }: Unit): boolean => covered.push(head.number?.major) > 0;
  const hidraws = new Hidraws({ log: pino({ level: 'silent' }), table, kernel, isGuarded }, (unit) =>
    verdicts.get(unit),
  );
  return { hidraws, verdicts, covered, input };
}

const seatsOf = (touched: readonly { readonly seat: string }[]) => [...new Set(touched.map(({ seat }) => seat))];

test('as a descriptor alone it comes only from a kernel that can take it back', () => {
  for (const [kernel, isGiven] of [
    ['6.1.0-13-amd64', false],
    ['6.12.48', true],
  ] as const) {
    const { hidraws, verdicts } = plugged(kernel);
    const verdict = ofSeats(true, 'left');
    if (verdict.kind !== 'seat') throw new Error(verdict.kind);
    const claims = verdict.claims.map((claim) => ({
      ...claim,
      rule: { ...claim.rule, receive: 'descriptor' as const },
    }));
    verdicts.set(pad, { ...verdict, claims }).set(touchpad, ofSeats(false, 'left'));
    hidraws.place([raw]);
    assert.is(hidraws.of('left').length, isGiven ? 1 : 0, kernel);
    if (!isGiven) assert.match(hidraws.withheld()[0]?.reason ?? '', /from Linux 6\.12 on, and this is 6\.1\.0/);
  }
});

test('it follows the verdicts of its inputs, whichever of them changes', () => {
  const { hidraws, verdicts, covered } = plugged();
  verdicts.set(pad, ofSeats(true, 'left')).set(touchpad, ofSeats(false, 'left'));
  assert.equal(seatsOf(hidraws.place([raw])), ['left']);
  assert.equal(covered, [245], 'guarded before anybody gets it');
  assert.equal(
    hidraws.of('left').map(({ unit }) => unit.id),
    [raw],
  );
  verdicts.set(touchpad, ofSeats(false, 'right'));
  assert.equal(seatsOf(hidraws.place([touchpad])), ['left'], 'who loses it is told');
  assert.equal([...hidraws.of('left'), ...hidraws.of('right')], []);
  assert.match(hidraws.withheld(pad)[0]?.reason ?? '', /input7 left, input8 right/);
  verdicts.set(pad, ofSeats(true, 'right'));
  assert.equal(seatsOf(hidraws.place([pad])), ['right']);
  assert.equal(hidraws.withheld(), []);
  verdicts.set(pad, ofSeats(false, 'right'));
  hidraws.placeAll();
  assert.equal(hidraws.of('right'), []);
});

test('while a device is unplugged, its inputs going first, its raw node stays where it is', () => {
  const { hidraws, verdicts, input } = plugged();
  for (const unit of [pad, touchpad]) verdicts.set(unit, ofSeats(true, 'left'));
  hidraws.place([raw]);
  for (const unit of [pad, touchpad]) {
    input('remove', unit);
    verdicts.delete(unit);
    hidraws.place([unit]);
  }
  assert.is(hidraws.of('left').length, 1);
  hidraws.placeAll();
  assert.is(hidraws.of('left').length, 0, 'another policy has nothing to go by');
});

test.run();
