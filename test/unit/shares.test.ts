import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Resource, resourceNames, type SeatPolicy } from '../../agent/core/policy.js';
import {
  type Amounts,
  amountText,
  correction,
  defaultPids,
  restoration,
  shareChanges,
  sharesOf,
  together,
} from '../../agent/core/shares.js';
import { checkShares } from '../../agent/doctor/check-shares.js';
import type { ShareFacts } from '../../agent/doctor/facts.js';
import { docker } from '../../agent/engines/docker.js';
import { lxc } from '../../agent/engines/lxc.js';
import { nspawn } from '../../agent/engines/nspawn.js';
import { podman } from '../../agent/engines/podman.js';
import { formatText } from '../../agent/policy/format.js';
import { parseSeat } from '../../agent/policy/parse.js';
import { amountsOf, propertiesOf, writesOf } from '../../agent/shares/amounts.js';
import { explainShares, incomparable, type PlacedSeat } from '../../agent/shares/compare.js';
import { keyChange, markKey } from '../../agent/shares/incus-keys.js';
import { above, arenaOf, type SharePlace, sharePlace, sliceOf } from '../../agent/shares/place.js';
import { pressureOf } from '../../agent/shares/pressure.js';
import { pressureText, sharesText } from '../../agent/shares/words.js';

const root = '/sys/fs/cgroup';
const all = new Set<Resource>(resourceNames);
const id = 'a'.repeat(64);

const policy = (resources: string, name = 'left'): SeatPolicy => {
  const parsed = parseSeat(
    `${name}.yaml`,
    `seat: ${name}\ncontainer: { engine: lxc, name: ${name} }\nresources: ${resources}\ndevices: []\n`,
  );
  assert.ok('seat' in parsed, JSON.stringify(parsed));
  return parsed.seat;
};

test('what a seat file asks for is read in its units, with its place', () => {
  const { resources = {} } = policy('{ cpu: 200, memory: 3G, io: 10000, pids: 500 }');
  assert.equal(
    resourceNames.map((name) => resources[name]?.value),
    [200, 3 * 2 ** 30, 10_000, 500],
  );
  assert.equal(resources.memory?.place, { file: 'left.yaml', line: 3, column: 32 });
  assert.equal(policy('{}').resources, {});
});

test('a formatted file has numbers where numbers are meant', () => {
  const text = 'resources: {io: "5", memory: 1G, cpu: 20}\nseat: a\ncontainer: {name: x, engine: lxc}\ndevices: []\n';
  const formatted = formatText('a.yaml', text);
  assert.ok('text' in formatted);
  assert.match(formatted.text, /^resources: \{ cpu: 20, memory: 1G, io: 5 \}$/m);
});

test('without a word weights are even, processes are bounded, and nothing else is', () => {
  const shares = sharesOf({}, defaultPids(2, 20_000));
  assert.equal(
    resourceNames.map((name) => shares[name]),
    [
      { amount: 100, asked: false },
      { amount: undefined, asked: false },
      { amount: 100, asked: false },
      { amount: 3000, asked: false },
    ],
  );
  // However many there are, something is left for the host.
  for (const seats of [1, 6, 7, 64, 1000])
    assert.ok(seats * defaultPids(seats, 30_000) <= 0.9 * 30_000 + 1, `${seats}`);
});

test('only what differs is written, and what was there before is kept until it is there again', () => {
  const fresh: Amounts = { cpu: '100', memory: 'max', io: '100', pids: 'max' };
  const asked = sharesOf(policy('{ cpu: 300, memory: 1G }'), 3000);
  const first = correction(asked, fresh, {}, all);
  assert.equal(first.write, { cpu: '300', memory: String(2 ** 30), pids: '3000' });
  assert.equal(first.former, { cpu: '100', memory: 'max', pids: 'max' });
  const there = { ...fresh, ...first.write };
  assert.equal(correction(asked, there, first.former, all), { write: {}, former: first.former });
  // `resources:` is taken out of the file.
  const back = correction(sharesOf(policy('{}'), 3000), there, first.former, all);
  assert.equal(back, { write: { cpu: '100', memory: 'max' }, former: { pids: 'max' } });
  // And at a release everything.
  assert.equal(restoration({ ...there, ...back.write }, back.former), { pids: 'max' });
});

test("an engine's own bound on processes stays, unless the seat file says another", () => {
  const there: Amounts = { cpu: '100', memory: 'max', io: '100', pids: '2048' };
  assert.equal(correction(sharesOf({}, 3000), there, {}, all), { write: {}, former: {} });
  assert.equal(correction(sharesOf(policy('{ pids: 9000 }'), 3000), there, {}, all).write, { pids: '9000' });
});

test('a controller that is off is put on, by writing to what is not there yet; one that the host lacks is left alone', () => {
  const { write, former } = correction(sharesOf({}, 3000), { pids: 'max' }, {}, all);
  assert.equal(write, { cpu: '100', io: '100', pids: '3000' });
  assert.equal(former, { cpu: '', io: '', pids: 'max' });
  assert.equal(correction(sharesOf(policy('{ memory: 1G }'), 3000), {}, {}, new Set()), { write: {}, former: {} });
});

test('whatever was asked for in between, in the end everything is as it was', () => {
  const amount = fc.option(fc.integer({ min: 10, max: 10_000 }).map(String), { nil: 'max' });
  const begin = fc.record({ cpu: fc.constant('100'), memory: amount, io: fc.constant('100'), pids: amount });
  const wish = fc.record(
    {
      cpu: fc.integer({ min: 1, max: 10_000 }),
      memory: fc.integer({ min: 1, max: 9 }),
      pids: fc.integer({ min: 10, max: 9999 }),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(begin, fc.array(wish), (before, wishes) => {
      let now: Amounts = before;
      let former: Amounts = {};
      for (const { cpu, memory, pids } of wishes) {
        const words = [
          ...(cpu === undefined ? [] : [`cpu: ${cpu}`]),
          ...(memory === undefined ? [] : [`memory: ${memory}G`]),
          ...(pids === undefined ? [] : [`pids: ${pids}`]),
        ];
        const step = correction(sharesOf(policy(`{ ${words.join(', ')} }`), 3000), now, former, all);
        now = { ...now, ...step.write };
        former = step.former;
      }
      assert.equal({ ...now, ...restoration(now, former) }, { ...before });
    }),
  );
});

test('seats that live in one group have their shares together', () => {
  const both = together([sharesOf(policy('{ cpu: 50, memory: 1G }'), 10), sharesOf(policy('{}', 'right'), 10)]);
  assert.equal(both.cpu, { amount: 150, asked: true });
  assert.equal(both.memory, { amount: undefined, asked: false });
  assert.equal(both.pids, { amount: 20, asked: false });
  assert.is(
    together([policy('{ cpu: 9000 }'), policy('{ cpu: 9000 }')].map((one) => sharesOf(one, 1))).cpu.amount,
    10_000,
  );
});

const at = (engine: SeatPolicy['container']['engine'], path: string, more: { name?: string; user?: string } = {}) =>
  sharePlace({ engine, name: more.name ?? 'left', user: more.user, cgroup: `${root}/${path}` }, root);

test('shares are set where the engine does not undo it: at the unit that systemd has, or in the group itself', () => {
  const unit = (place: SharePlace) => (place.kind === 'unit' ? `${place.unit} at ${place.group}` : place.kind);
  assert.equal(at('lxc', 'lxc.payload.left'), { kind: 'group', group: 'lxc.payload.left' });
  assert.is(
    unit(at('docker', `system.slice/docker-${id}.scope`)),
    `docker-${id}.scope at system.slice/docker-${id}.scope`,
  );
  assert.is(unit(at('docker', `docker/${id}`)), 'group');
  assert.is(
    unit(at('podman', `machine.slice/libpod-${id}.scope`)),
    `libpod-${id}.scope at machine.slice/libpod-${id}.scope`,
  );
  // Under Quadlet the group is inside of a service, and that is what systemd knows.
  assert.is(
    unit(at('podman', `system.slice/left.service/libpod-payload-${id}`)),
    'left.service at system.slice/left.service',
  );
  assert.is(
    unit(at('nspawn', 'machine.slice/systemd-nspawn@left.service')),
    'systemd-nspawn@left.service at machine.slice/systemd-nspawn@left.service',
  );
  // Below a user's systemd everything is that user's to change: his slice is root's.
  const anna = 'user.slice/user-1000.slice';
  assert.is(
    unit(at('podman', `${anna}/user@1000.service/user.slice/libpod-${id}.scope`, { user: 'anna' })),
    `user-1000.slice at ${anna}`,
  );
  assert.equal(at('incus', 'lxc.payload.work_left', { name: 'work_left' }), {
    ...{ kind: 'incus', group: 'lxc.payload.work_left', project: 'work', instance: 'left' },
  });
  // Our own slice, with any engine.
  for (const [engine, below] of [
    ['lxc', 'lxc.payload.left'],
    ['incus', 'lxc.payload.left'],
    ['docker', `docker-${id}.scope`],
    ['nspawn', 'systemd-nspawn@left.service'],
  ] as const) {
    assert.equal(at(engine, `hotseat.slice/hotseat-left.slice/${below}`), {
      ...{ kind: 'unit', group: 'hotseat.slice/hotseat-left.slice', unit: 'hotseat-left.slice', own: true },
    });
  }
  assert.is(sliceOf('front-left'), 'hotseat-front\\x2dleft.slice');
  assert.equal(above('a/b/c'), ['', 'a', 'a/b']);
});

test('containers are found in the slices of the seats', () => {
  for (const [dialect, name] of [
    [lxc, 'lxc.payload.left'],
    [docker, `docker-${id}.scope`],
    [podman, `libpod-${id}.scope`],
    [nspawn, 'systemd-nspawn@left.service'],
    [nspawn, 'machine-left.scope'],
  ] as const) {
    const names = ['hotseat.slice', sliceOf('front-left'), name];
    assert.ok(
      dialect.paths.some((path) => path.length === 3 && path.every((part, depth) => part.test(names[depth] ?? ''))),
      `${dialect.engine} ${name}`,
    );
  }
});

test('amounts are read from the kernel and written to it, and told to systemd in its words', () => {
  const texts = new Map([
    ['cpu.weight', '100\n'],
    ['memory.high', 'max\n'],
    ['io.weight', 'default 150\n8:0 300\n'],
    ['pids.max', '12\n'],
  ]);
  assert.equal(amountsOf(texts), { cpu: '100', memory: 'max', io: '150', pids: '12' });
  assert.equal(amountsOf(new Map()), {});
  assert.equal(writesOf({ cpu: '7', memory: '64', io: '10000', pids: '' }), [
    ['cpu.weight', '7'],
    ['io.weight', 'default 10000'],
    ['io.bfq.weight', '1000'],
    ['pids.max', 'max'],
    ['memory.high', '64'],
  ]);
  assert.equal(propertiesOf({ cpu: '', memory: 'max', pids: '12' }), [
    'CPUWeight=',
    'TasksMax=12',
    'MemoryHigh=infinity',
  ]);
});

test("an Incus instance is told by its keys, keeps word of them itself, and an administrator's own keys stay", () => {
  const asked = sharesOf(policy('{ cpu: 250, memory: 1G, io: 300, pids: 500 }'), 3000);
  const first = keyChange({}, {}, asked);
  assert.equal(first.problems, []);
  const { [markKey]: mark, ...keys } = first.change;
  assert.equal(keys, {
    'limits.cpu.allowance': '250%',
    'limits.disk.priority': '3',
    'limits.memory': String(2 ** 30),
    'limits.memory.enforce': 'soft',
    'limits.processes': '500',
  });
  assert.equal(JSON.parse(mark ?? ''), keys);
  const there = first.change;
  assert.equal(keyChange(there, there, asked), { change: {}, problems: [] });
  // Everything is taken back, except later changes by somebody else.
  const changed = { ...there, 'limits.processes': '7' };
  assert.equal(keyChange(changed, changed, undefined).change, {
    'limits.cpu.allowance': '',
    'limits.disk.priority': '',
    'limits.memory': '',
    'limits.memory.enforce': '',
    [markKey]: '',
  });
  // A hard limit of the administrator's, in a profile, is not made a soft one.
  const theirs = keyChange({}, { 'limits.memory': '2GiB', 'limits.cpu.priority': '4' }, asked);
  assert.equal(theirs.problems, ['memory: Incus has limits.memory already, which stays']);
  assert.is(theirs.change['limits.cpu.allowance'], '256%');
  assert.is(theirs.change['limits.memory'], undefined);
  const odd = keyChange({}, {}, sharesOf(policy('{ io: 250 }'), 3000));
  assert.match(odd.problems.join(), /not 250/);
  assert.is(odd.change['limits.disk.priority'], undefined);
  // The default is no more than a bound on processes, and not even that where there is one.
  assert.equal(Object.keys(keyChange({}, {}, sharesOf({}, 3000)).change), ['limits.processes', markKey]);
  assert.equal(keyChange({}, { 'limits.processes': '9' }, sharesOf({}, 3000)), { change: {}, problems: [] });
  // The mark may hold any text.
  assert.equal(keyChange({ [markKey]: '[1' }, {}, undefined).change, { [markKey]: '' });
});

const placed = (seat: string, path: string, engine: SeatPolicy['container']['engine'] = 'lxc'): PlacedSeat => ({
  ...{ seat, container: { engine, name: seat } },
  place: at(engine, path, { name: seat }),
  amounts: { cpu: '100', io: '100' },
});

test('weights of two seats are compared where they have one parent, and nowhere else', () => {
  const left = placed('left', 'lxc.payload.left');
  const machine = placed('right', 'machine.slice/systemd-nspawn@right.service', 'nspawn');
  assert.is(incomparable(left, placed('right', 'lxc.payload.right')), undefined);
  assert.match(
    incomparable(left, machine) ?? '',
    /left divide what the root gets, those of right what machine.slice gets/,
  );
  const [ours, theirs] = ['left', 'right'].map((seat) =>
    placed(seat, `hotseat.slice/${sliceOf(seat)}/lxc.payload.${seat}`),
  );
  assert.ok(ours !== undefined && theirs !== undefined);
  assert.is(incomparable(ours, theirs), undefined);
  assert.is(arenaOf(ours.place), 'hotseat.slice');
  const explained = explainShares(left, [machine], () => 'default', { means: 'x', problem: undefined });
  assert.match(explained.beside.join(), /not comparable with right/);
});

const facts: ShareFacts = { missing: [], hybrid: false, pressure: true, diskWeights: true };
const seatOf = (one: PlacedSeat) => ({ seat: one.seat, container: one.container, found: { absent: '' }, placed: one });

test('doctor says whose weights cannot be compared, why, and what helps', () => {
  const left = placed('left', 'lxc.payload.left');
  const right = placed('right', 'machine.slice/systemd-nspawn@right.service', 'nspawn');
  const [finding, ...more] = checkShares(facts, [seatOf(left), seatOf(right)]);
  assert.equal(more, []);
  assert.ok(finding?.level === 'warning');
  assert.match(finding.text, /left and right cannot be compared/);
  assert.match(finding.remedy, /lxc\.cgroup\.dir\.container = hotseat\.slice\/hotseat-left\.slice\/lxc\.payload\.left/);
  assert.match(finding.remedy, /Slice=hotseat-right\.slice/);
  const [incus] = checkShares(facts, [seatOf(placed('left', 'lxc.payload.left', 'incus')), seatOf(right)]);
  assert.ok(incus?.level === 'warning');
  assert.match(incus.remedy, /left: incus has no setting for it/);
  const same = checkShares(
    facts,
    ['left', 'right', 'third'].map((seat) => seatOf(placed(seat, `lxc.payload.${seat}`))),
  );
  assert.equal(
    same.map(({ level }) => level),
    ['ok'],
  );
});

test('doctor says where nothing can be divided: on a hybrid host, and with no disk that goes by weights', () => {
  const left = seatOf(placed('left', 'lxc.payload.left'));
  const hybrid = checkShares({ ...facts, hybrid: true, missing: ['cpu', 'memory', 'io', 'pids'] }, [left]);
  assert.is(hybrid.length, 1);
  assert.match(hybrid[0]?.text ?? '', /weights are not available: cpu is a controller of cgroups v1 here/);
  const words = (changed: Partial<ShareFacts>, asksForDisk: boolean) =>
    checkShares({ ...facts, ...changed }, [{ ...left, asksForDisk }]).map(({ text }) => text);
  assert.equal(words({ diskWeights: false }, false), []);
  assert.match(words({ diskWeights: false }, true).join(), /no disk goes by weights/);
  assert.match(words({ pressure: false }, false).join(), /does not count/);
});

test('doctor says how the others stand still while a seat takes all memory', () => {
  const [left, right] = ['left', 'right'].map((seat) => seatOf(placed(seat, `lxc.payload.${seat}`)));
  assert.ok(left !== undefined && right !== undefined);
  const said = (keepsUsedMs: number | undefined, ...bounds: boolean[]) =>
    checkShares(
      { ...facts, keepsUsedMs },
      bounds.map((boundsMemory, at) => ({ ...(at === 0 ? left : right), boundsMemory })),
    ).filter(({ level }) => level === 'warning');
  assert.match(said(0, false, true)[0]?.text ?? '', /^if left takes all memory/);
  assert.match(said(0, false, false)[0]?.text ?? '', /^if left or right takes all memory/);
  for (const none of [said(1000, false, false), said(undefined, false, false), said(0, true, true), said(0, false)])
    assert.equal(none, []);
});

test('a plan names what changes of the shares', () => {
  const before = [policy('{ cpu: 200, memory: 1G }'), policy('{}', 'right')];
  const after = [policy('{ cpu: 50 }'), policy('{ pids: 900 }', 'right')];
  assert.equal(shareChanges(before, after), [
    'left: cpu 200 -> 50',
    'left: memory 1G -> default',
    'right: pids default -> 900',
  ]);
  assert.equal(shareChanges(before, before), []);
});

test('pressure is read as the kernel writes it', () => {
  const text =
    'some avg10=12.60 avg60=1.00 avg300=0.10 total=2500000\nfull avg10=1.50 avg60=0.00 avg300=0.00 total=1000000\n';
  assert.equal(pressureOf(text), { some: 12.6, full: 1.5, someSeconds: 2.5, fullSeconds: 1 });
  assert.is(pressureOf('')?.some, undefined);
  assert.is(pressureOf('some avg10=1.00 avg60=0.00 avg300=0.00 total=5\n')?.full, 0);
  assert.is(pressureText({ pressure: { cpu: { some: 12.6, full: 0, someSeconds: 0, fullSeconds: 0 } } }), 'cpu 13 %');
});

test('amounts are for people', () => {
  assert.is(amountText('memory', String(3 * 2 ** 29)), '1536M');
  assert.is(amountText('memory', String(2 ** 31)), '2G');
  assert.is(amountText('pids', 'max'), 'no limit');
  const resources = [
    { name: 'cpu' as const, amount: '100', asked: true },
    { name: 'memory' as const, amount: undefined, asked: false },
    { name: 'pids' as const, amount: '7', asked: true },
  ];
  assert.is(sharesText({ resources }), 'cpu 100, processes 7');
});

test.run();
