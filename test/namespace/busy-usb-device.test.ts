// A local user has the kernel keep a USB device busy: a process that reads its serial number waits. Here a fifo lets it wait.

import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Deed, unrecorded } from '../../agent/core/audit.js';
import { thingOf } from '../../agent/core/loan.js';
import { unreadBy } from '../../agent/core/unread.js';
import { cgroupRoot } from '../../agent/kernel/cgroup.js';
import { DeviceMap } from '../../agent/kernel/device-map.js';
import { RecordFile } from '../../agent/kernel/record-file.js';
import { compose } from '../../agent/policy/load.js';
import { SeatController } from '../../agent/seat/controller.js';
import { Grants } from '../../agent/seat/grants.js';
import { isReadOnce, SlowAttributes } from '../../agent/udev/slow-attributes.js';
import { DeviceTable } from '../../agent/udev/table.js';
import { hands } from './hands.js';
import { longestWait } from './longest-wait.js';
import { unshared } from './unshared.js';
import { until } from './until.js';

unshared(import.meta.url);

/** Longest that a helper may take, ms. */
const limit = 1000;
const { helpers, namespaces, effects } = hands(limit);
const root = join(cgroupRoot(), `hotseat-busy-${process.pid}`);
const roots = { sys: '/run/sys', data: '/run/udev/data' };
const record = () => new RecordFile('/run/attributes.json', isReadOnce);
const slow = new SlowAttributes(helpers, { roots, waits: [200], record: record() });
const table = new DeviceTable(roots, slow.of);
const deeds: Deed[] = [];
const bound = (): string[] =>
  deeds.flatMap(({ what, seat, device }) => (what === 'bind' ? [`${basename(device ?? '')} ${seat}`] : []));
let map: DeviceMap;
let house: SeatController;

const policy = policyOf({
  left: [{ attr: { idVendor: '1209', serial: 'A1' } }],
  right: [{ ID_PATH: 'free' }, { attr: { idVendor: '1209', serial: 'B*' } }],
});

function policyOf(wishes: Readonly<Record<string, readonly object[]>>, more: object = {}) {
  const texts = Object.entries(wishes).map(([seat, matches]) => ({
    name: `${seat}.yaml`,
    text: JSON.stringify({
      ...{ seat, container: { engine: 'lxc', name: seat } },
      devices: matches.map((match, at) => ({ label: `${at}`, match, ...more })),
    }),
  }));
  const loaded = compose(texts, 'unversioned', 'test');
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
  return loaded.policy;
}

const usbOf = (number: number): string => `/sys/devices/pci0000:00/usb1/1-${number}`;
const headOf = (number: number): string => `${usbOf(number)}/1-${number}:1.0/input/input${number}`;
const inSys = (syspath: string, ...names: string[]): string => join(roots.sys, syspath.slice('/sys'.length), ...names);

/** A USB keyboard, and the serial number that it gives out; undefined while it is kept busy. */
async function plug(number: number, path: string, serial: string | undefined, idVendor = '1209'): Promise<void> {
  const head = headOf(number);
  mkdirSync(inSys(head, `event${number}`), { recursive: true });
  for (const [name, text] of Object.entries({ uevent: '', idVendor: `${idVendor}\n`, idProduct: '0001\n' })) {
    writeFileSync(inSys(usbOf(number), name), text);
  }
  if (serial === undefined) execFileSync('mkfifo', [inSys(usbOf(number), 'serial')]);
  else writeFileSync(inSys(usbOf(number), 'serial'), `${serial}\n`);
  const say = (syspath: string, more: Record<string, string>) => {
    const properties = { SUBSYSTEM: 'input', ID_INPUT: '1', ID_PATH: path, ...more };
    const event = { action: 'add', syspath, properties, receivedNs: '0' };
    return house.serve(house.judge(table.take({ kind: 'event', event })));
  };
  const node = { DEVNAME: `/dev/input/event${number}`, MAJOR: '13', MINOR: String(64 + number) };
  await Promise.all([say(head, {}), say(`${head}/event${number}`, node)]);
}

/** It answers from now on, and so does a reader that waits. */
function free(number: number, serial: string): void {
  const waited = openSync(inSys(usbOf(number), 'serial'), constants.O_RDWR | constants.O_NONBLOCK);
  writeFileSync(inSys(usbOf(number), 'new'), `${serial}\n`);
  renameSync(inSys(usbOf(number), 'new'), inSys(usbOf(number), 'serial'));
  writeSync(waited, `${serial}\n`);
  closeSync(waited);
}

/** From now on a reader of its serial number waits. */
function lock(number: number): void {
  rmSync(inSys(usbOf(number), 'serial'));
  execFileSync('mkfifo', [inSys(usbOf(number), 'serial')]);
}

const holders = (number: number): string => house.assignments.holders(headOf(number)).join();

test.before(async () => {
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  mkdirSync(root);
  map = DeviceMap.open({ cgroupRoot: root });
  house = new SeatController({
    ...{ log: pino({ level: 'silent' }), table, grants: new Grants(map), namespaces, effects, slow },
    ...{ measure: () => undefined, tell: () => undefined },
    audit: (deed) => {
      deeds.push(deed);
      return unrecorded(deed);
    },
  });
  slow.read.subscribe((ids) => void house.serve(house.judge(ids)));
  await namespaces.start();
  await house.serve(house.adopt(policy));
});
test.after(async () => {
  slow.close();
  await house.close();
  namespaces.close();
  map.remove();
  map.close();
  rmdirSync(root);
});

test('a device whose serial number a rule asks for goes to its seat as soon as that is read', async () => {
  await plug(1, 'at', 'A1');
  await until('it is there', () => holders(1) === 'left');
  assert.equal(house.assignments.unreadable(), []);
});

test('a device that is kept busy is withheld and named; all others go on, and it comes once it answers', async () => {
  const longest = await longestWait(async () => {
    await plug(2, 'at', undefined);
    const began = performance.now();
    await plug(3, 'free', undefined, '046d');
    assert.is(holders(3), 'right', 'it goes at once where no serial number decides');
    assert.ok(performance.now() - began < limit);
    assert.is(house.assignments.judged.get(headOf(2))?.kind, 'unread');
    await plug(4, 'at', 'B2');
    await until('the neighbour is there', () => holders(4) === 'right');
    await until('it is said why', () => /cannot be read/.test(house.assignments.unreadable()[0]?.reason ?? ''));
  });
  assert.ok(longest < limit / 2, `${longest} ms`);
  const [{ device = '', reason = '' } = {}, ...others] = house.assignments.unreadable(headOf(2));
  assert.is(device, '/dev/input/event2');
  assert.match(reason, new RegExp(`serial, .* of ${usbOf(2)} cannot be read`));
  assert.equal(others, []);
  assert.is(holders(2), '', 'nobody gets it');
  free(2, 'A1');
  await until('it is there', () => holders(2) === 'left');
  assert.equal(house.assignments.unreadable(), []);
  assert.equal(
    bound().filter((one) => one.startsWith('input2 ')),
    ['input2 left'],
  );
});

test('what is known of a device stays true as long as it is plugged, and no longer', async () => {
  lock(2);
  await house.serve(house.judge(new Set([headOf(2)])));
  assert.is(holders(2), 'left', 'busy again, it stays where it is');
  renameSync(inSys(usbOf(2)), inSys('/sys/gone'));
  await plug(2, 'at', undefined);
  await until('it is another one', () => holders(2) === '');
  assert.is(house.assignments.judged.get(headOf(2))?.kind, 'unread');
  rmSync(inSys(usbOf(2)), { recursive: true });
});

/** Verdicts of an agent that starts, on these devices: a kind, `busy`, or another reason why there is none. */
async function afterStart(numbers: readonly number[], own: SlowAttributes): Promise<(string | undefined)[]> {
  const fresh = new DeviceTable(roots, own.of);
  const next = new SeatController({
    ...{ log: pino({ level: 'silent' }), table: fresh, grants: new Grants(map), namespaces, effects, slow: own },
    ...{ measure: () => undefined, tell: () => undefined, audit: unrecorded },
  });
  try {
    rmSync(inSys('/sys/class/input'), { recursive: true, force: true });
    for (const number of numbers) {
      mkdirSync(inSys('/sys/class/input'), { recursive: true });
      symlinkSync(inSys(headOf(number)), inSys('/sys/class/input', `input${number}`));
      mkdirSync(roots.data, { recursive: true });
      writeFileSync(join(roots.data, `+input:input${number}`), 'E:ID_INPUT=1\nE:ID_PATH=at\n');
      writeFileSync(inSys(headOf(number), 'uevent'), '');
    }
    const longest = await longestWait(async () => {
      fresh.take({ kind: 'resync', reason: 'start' });
      assert.is(fresh.units().length, numbers.length, 'else this shows nothing');
      await own.learn(
        unreadBy(
          policy,
          () => fresh.units(),
          () => fresh.rawUnits(),
        ),
      );
      next.adopt(policy);
    });
    assert.ok(longest < limit / 2, `${longest} ms`);
    const { judged } = next.assignments;
    return numbers.map((number) => {
      const [unread] = next.assignments.unreadable(headOf(number));
      const isBusy = unread?.reason.includes('somebody keeps it busy');
      return isBusy ? 'busy' : (unread?.reason ?? judged.get(headOf(number))?.kind);
    });
  } finally {
    own.close();
    await next.close();
  }
}

test('an agent that starts asks all devices before it judges, and does not wait for one that is kept busy', async () => {
  await plug(5, 'at', undefined);
  assert.equal(await afterStart([1, 5], new SlowAttributes(helpers, { roots })), ['seat', 'busy']);
});

test('an agent that starts again knows what the former one has read, of this very device and of this boot', async () => {
  const again = (): Promise<(string | undefined)[]> =>
    afterStart([1], new SlowAttributes(helpers, { roots, record: record() }));
  lock(1);
  assert.equal(await again(), ['seat']);
  const known = readFileSync('/run/attributes.json', 'utf8');
  writeFileSync('/run/attributes.json', known.replaceAll(/"form":"[0-9a-f]/g, '"form":"x'));
  assert.equal(await again(), ['busy'], 'of another boot');
  writeFileSync('/run/attributes.json', known);
  renameSync(inSys(usbOf(1)), inSys('/sys/gone-too'));
  await plug(1, 'at', undefined);
  assert.equal(await again(), ['busy'], 'another one at the same port');
});

test('what cannot be read is not taken for missing: the device waits, and the reason is said', async () => {
  await plug(6, 'at', 'A1');
  rmSync(inSys(usbOf(6), 'serial'));
  symlinkSync('serial', inSys(usbOf(6), 'serial'));
  assert.equal(await afterStart([6], new SlowAttributes(helpers, { roots })), [
    `attributes of ${usbOf(6)} cannot be read: ELOOP: too many symbolic links encountered, open '${inSys(usbOf(6), 'serial')}'`,
  ]);
});

test('a device that was kept busy for long comes at once when it is let go, and in seconds where others still are', async () => {
  for (const number of [1, 5]) free(number, 'A1');
  await until('they answer', () => [1, 5].every((number) => slow.of(usbOf(number), roots) !== undefined));
  const took = async (number: number, seat: string): Promise<number> => {
    const began = performance.now();
    await until(`input${number} is there`, () => holders(number) === seat);
    return performance.now() - began;
  };
  const isTriedAgain = (number: number): boolean =>
    house.assignments.unreadable(headOf(number)).some(({ reason }) => /took over|turn of/.test(reason));
  await plug(7, 'at', undefined);
  await until('it is tried again', () => isTriedAgain(7));
  await new Promise((resolve) => setTimeout(resolve, 3 * limit));
  free(7, 'A1');
  assert.ok((await took(7, 'left')) < 5 * limit, 'its reader waits for it as long as no other does');

  const busy = [8, 9, 10];
  await Promise.all(busy.map((number) => plug(number, 'at', undefined)));
  await until('none of them answers', () => busy.every(isTriedAgain));
  await plug(11, 'at', 'B1');
  assert.ok((await took(11, 'right')) < 5 * limit, 'one that answers is not behind them');
  free(9, 'A1');
  assert.ok((await took(9, 'left')) < 8 * limit, 'each of them has its turn');
  for (const number of busy) rmSync(inSys(usbOf(number)), { recursive: true });
});

test('attached by hand while it is kept busy, it is taken back as strictly as a rule may say, and read all the same', async () => {
  await plug(12, 'lent', undefined);
  const [thing] = table.units().flatMap((unit) => (unit.id === headOf(12) ? thingOf(unit) : []));
  assert.ok(thing !== undefined);
  const loan = { seat: 'right', thing, name: 'Keys', until: undefined, by: 0 };
  const strict = policyOf({ left: [{ attr: { serial: 'A1' } }], right: [] }, { revoke: 'hard' });
  await house.serve(house.adopt({ ...strict, loans: [loan] }));
  await house.serve(house.adopt({ ...strict, loans: [loan] }));
  const revoke = (): string | undefined => {
    const verdict = house.assignments.judged.get(headOf(12));
    return verdict?.kind === 'seat' ? verdict.claims[0]?.rule.revoke : verdict?.kind;
  };
  assert.equal([holders(12), revoke()], ['right', 'hard']);
  free(12, 'B2');
  await until('it is judged by its serial number', () => revoke() === 'auto');
  assert.is(holders(12), 'right');
  await house.serve(house.adopt(policy));
});

test.run();
