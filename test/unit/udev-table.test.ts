import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { RawEvent } from '../../agent/udev/messages.js';
import { DeviceTable } from '../../agent/udev/table.js';

const head = '/sys/devices/no-such-bus/usb1/input/input12';

function event(
  action: string,
  syspath: string,
  properties: Record<string, string> = {},
): { kind: 'event'; event: RawEvent } {
  return {
    kind: 'event',
    event: {
      action,
      syspath,
      receivedNs: '42',
      properties: { ACTION: action, SEQNUM: '7', SUBSYSTEM: 'input', ...properties },
    },
  };
}
const node = {
  DEVNAME: '/dev/input/event5',
  MAJOR: '13',
  MINOR: '69',
  ID_INPUT: '1',
  TAGS: ':old:seat:',
  CURRENT_TAGS: ':seat:',
  DEVLINKS: '/dev/a /dev/b',
};

test('a unit exists from its head on, and its devices are what the messages said', () => {
  const table = new DeviceTable();
  assert.equal([...table.take(event('add', `${head}/event5`, node))], [head]);
  assert.is(table.unit(head), undefined);
  table.take(event('add', head));
  const unit = table.unit(head);
  assert.is(unit?.id, head);
  assert.is(table.receivedNs(head), 42n);
  const device = unit?.nodes[0];
  assert.is(device?.node, '/dev/input/event5');
  assert.equal(device?.number, { major: 13, minor: 69 });
  assert.equal(device?.tags, ['seat']);
  assert.equal(device?.links, ['/dev/a', '/dev/b']);
  for (const key of ['ACTION', 'SEQNUM', 'TAGS', 'CURRENT_TAGS', 'DEVLINKS'])
    assert.is(device?.properties[key], undefined);
});

test('removal takes out one device after another, and names the unit each time', () => {
  const table = new DeviceTable();
  table.take(event('add', head));
  table.take(event('add', `${head}/event5`, node));
  assert.equal([...table.take(event('remove', `${head}/event5`))], [head]);
  assert.is(table.unit(head)?.nodes.length, 0);
  assert.equal([...table.take(event('remove', head))], [head]);
  assert.equal(table.units(), []);
  assert.is(table.receivedNs(head), undefined);
  assert.equal([...table.take(event('remove', head))], [head], 'a second removal is harmless');
});

test("what can belong to no seat is nobody's unit", () => {
  const table = new DeviceTable();
  assert.is(
    table.take(
      event('add', '/sys/devices/virtual/input/mice', { DEVNAME: '/dev/input/mice', MAJOR: '13', MINOR: '63' }),
    ).size,
    0,
  );
  assert.is(table.take(event('add', '/sys/devices/virtual/mem/null', { SUBSYSTEM: 'mem' })).size, 0);
});

const hid = '/sys/devices/no-such-bus/usb1/0003:1209:0001.0004';
const rawNode = { SUBSYSTEM: 'hidraw', DEVNAME: '/dev/hidraw0', MAJOR: '245', MINOR: '0' };

test('a raw node is no unit that a policy could judge, and is known by the inputs that are read at it', () => {
  const table = new DeviceTable();
  const raw = `${hid}/hidraw/hidraw0`;
  const paired = `${hid}/0003:1209:0002.0005`;
  assert.equal([...table.take(event('add', raw, rawNode))], [raw]);
  assert.equal(table.readAt(raw), []);
  for (const input of [`${hid}/input/input12`, `${paired}/input/input13`, head]) table.take(event('add', input));
  assert.equal(
    table.readAt(raw),
    [`${hid}/input/input12`, `${paired}/input/input13`],
    'what is paired with a receiver too',
  );
  assert.equal([...table.rawOf([`${paired}/input/input13`, head])], [raw]);
  assert.is(table.units().length, 3);
  assert.is(table.unit(raw), undefined);
  assert.equal(table.rawUnit(raw)?.nodes[0]?.number, { major: 245, minor: 0 });
  table.take(event('remove', `${hid}/input/input12`));
  table.take(event('remove', raw, rawNode));
  assert.is(table.rawUnit(raw), undefined);
  assert.equal([...table.rawOf([`${paired}/input/input13`])], []);
  assert.equal([...table.rawOf([raw])], [raw], 'one that has gone is still named');
});

test('whether a device is plugged is asked of sysfs, and one that was plugged again at its place is another one', () => {
  const sys = mkdtempSync(join(tmpdir(), 'hotseat-table-'));
  const table = new DeviceTable({ sys, data: join(sys, 'data') });
  const directory = join(sys, head.slice('/sys/'.length));
  mkdirSync(directory, { recursive: true });
  table.take(event('add', head));
  const { incarnation } = table.unit(head)?.head ?? {};
  assert.type(incarnation, 'string');
  assert.ok(table.isPlugged({ syspath: head, incarnation }));
  assert.ok(table.isPlugged({ syspath: head }), 'its incarnation is not known');
  // A file keeps the number of the inode from being used again, as kernfs never does.
  renameSync(directory, join(sys, 'former'));
  assert.not.ok(table.isPlugged({ syspath: head, incarnation }), 'udevd has not said so yet');
  mkdirSync(directory);
  assert.not.ok(table.isPlugged({ syspath: head, incarnation }));
  assert.ok(table.isPlugged({ syspath: head }));
  rmSync(sys, { recursive: true });
});

test('a message that was on its way while everything was read takes nothing back of what was read', () => {
  const root = mkdtempSync(join(tmpdir(), 'hotseat-table-'));
  const roots = { sys: join(root, 'sys'), data: join(root, 'data') };
  const card = '/sys/devices/pci0000:00/sound/card0';
  const [directory, entry] = [join(roots.sys, card.slice('/sys/'.length)), join(roots.data, '+sound:card0')];
  const known = (): void => writeFileSync(entry, 'E:SOUND_INITIALIZED=1\n');
  const heard = (action: string, sequence: number): ReturnType<typeof event> =>
    event(action, card, { SUBSYSTEM: 'sound', SEQNUM: String(sequence) });
  for (const path of [directory, roots.data, join(roots.sys, 'class/sound'), join(roots.sys, 'kernel')])
    mkdirSync(path, { recursive: true });
  writeFileSync(join(directory, 'uevent'), '');
  symlinkSync(directory, join(roots.sys, 'class/sound/card0'));
  writeFileSync(join(roots.sys, 'kernel/uevent_seqnum'), '20\n');
  known();
  const table = new DeviceTable(roots);
  table.take({ kind: 'resync', reason: 'overrun' });
  assert.is(table.unit(card)?.head.properties['SOUND_INITIALIZED'], '1');
  table.take(heard('remove', 17));
  assert.ok(table.unit(card), 'it was plugged again before everything was read');
  table.take(heard('add', 19));
  assert.ok(table.unit(card), 'the control node had not come when this was said');
  rmSync(entry);
  table.take(heard('remove', 20));
  assert.is(table.unit(card), undefined, 'udevd has forgotten it by now');
  known();
  table.take(heard('change', 20));
  assert.ok(table.unit(card), 'udevd had not finished with it when everything was read');
  table.take(heard('remove', 21));
  assert.is(table.unit(card), undefined, 'what was said later counts');
  rmSync(root, { recursive: true });
});

test('a resync names what has gone meanwhile', () => {
  const table = new DeviceTable();
  table.take(event('add', head));
  assert.ok(table.take({ kind: 'resync', reason: 'overrun' }).has(head));
  assert.is(table.unit(head), undefined);
});

test('the look reads everything again in small pieces, takes in what is said meanwhile, and names what is another', async () => {
  const root = mkdtempSync(join(tmpdir(), 'hotseat-table-'));
  const roots = { sys: join(root, 'sys'), data: join(root, 'data') };
  for (const path of [roots.data, join(roots.sys, 'class/input'), join(roots.sys, 'kernel')])
    mkdirSync(path, { recursive: true });
  const sequence = (number: number) => writeFileSync(join(roots.sys, 'kernel/uevent_seqnum'), `${number}\n`);
  const headOf = (number: number) => `/sys/devices/no-such-bus/input/input${number}`;
  const entry = (number: number, text: string) => writeFileSync(join(roots.data, `+input:input${number}`), text);
  const plug = (number: number): void => {
    const directory = join(roots.sys, headOf(number).slice('/sys/'.length));
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'uevent'), '');
    symlinkSync(directory, join(roots.sys, 'class/input', `input${number}`));
    entry(number, 'E:ID_INPUT=1\n');
  };
  const unplug = (number: number): void => {
    rmSync(join(roots.sys, 'class/input', `input${number}`));
    rmSync(join(roots.sys, headOf(number).slice('/sys/'.length)), { recursive: true });
    rmSync(join(roots.data, `+input:input${number}`));
  };
  const many = 600;
  for (let number = 0; number < many; number++) plug(number);
  sequence(100);
  const table = new DeviceTable(roots);
  table.take({ kind: 'resync', reason: 'start' });
  assert.equal([...(await table.readAgain())], [], 'nothing is another');

  entry(3, 'E:ID_INPUT=1\nE:ID_SEAT=seat-left\n');
  unplug(4);
  plug(many);
  const reading = table.readAgain();
  let [longest, before, turns] = [0, performance.now(), 0];
  let isOver = false;
  const over = reading.then((changed) => {
    isOver = true;
    return changed;
  });
  while (!isOver) {
    await new Promise((resolve) => setImmediate(resolve));
    longest = Math.max(longest, performance.now() - before);
    before = performance.now();
    if (++turns !== 1) continue;
    unplug(many - 1);
    sequence(101);
    table.take(event('remove', headOf(many - 1), { SEQNUM: '101' }));
  }
  assert.equal([...(await over)].sort(), [3, 4, many].map(headOf).sort());
  assert.ok(turns > 2, 'others had their turn');
  console.log(`${many} devices in pieces of at most ${longest.toFixed(1)} ms`);
  assert.ok(longest < 100);
  assert.is(table.unit(headOf(3))?.head.properties['ID_SEAT'], 'seat-left');
  assert.equal(
    [4, many - 1].map((number) => table.unit(headOf(number))),
    [undefined, undefined],
  );
  assert.is(table.units().length, many - 1);
  rmSync(root, { recursive: true });
});

test('an input is read at a raw node before udevd has finished with it, also one of a device that is paired there', () => {
  const root = mkdtempSync(join(tmpdir(), 'hotseat-table-'));
  const roots = { sys: join(root, 'sys'), data: join(root, 'data') };
  const receiver = '/sys/devices/pci0000:00/usb1/1-1/1-1:1.2/0003:046D:C52B.0004';
  const keyboard = `${receiver}/0003:046D:4055.0005/input/input20`;
  for (const syspath of [keyboard, `${receiver}/hidraw/hidraw0`, `${receiver}/input/input19`, `${receiver}/power`])
    mkdirSync(join(roots.sys, syspath.slice('/sys/'.length)), { recursive: true });
  const table = new DeviceTable(roots);
  const say = (syspath: string, properties: Record<string, string>) =>
    table.take({ kind: 'event', event: { action: 'add', syspath, receivedNs: '1', properties } });
  say(`${receiver}/hidraw/hidraw0`, rawNode);
  assert.equal(table.unheardAt(`${receiver}/hidraw/hidraw0`), ['input19', 'input20']);
  say(keyboard, { SUBSYSTEM: 'input' });
  assert.equal(table.unheardAt(`${receiver}/hidraw/hidraw0`), ['input19']);
  rmSync(root, { recursive: true });
});

test.run();
