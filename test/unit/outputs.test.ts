// One graphics card, an output for each seat: the policy about it, and the leases.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { outputExplanationOf } from '../../agent/control/inspect.js';
import { changesOf } from '../../agent/core/changes.js';
import { decider, hostSeat } from '../../agent/core/decide.js';
import { desiredUnit } from '../../agent/core/desired.js';
import type { Device, Unit } from '../../agent/core/device.js';
import { findOutput } from '../../agent/core/find-unit.js';
import { leaseFor, mayStay } from '../../agent/core/leases.js';
import { matchCrtcs } from '../../agent/core/matching.js';
import { hearing, isSplit, outputOwner } from '../../agent/core/outputs.js';
import type { Policy } from '../../agent/core/policy.js';
import type { Verdict } from '../../agent/core/verdict.js';
import { type HolderState, type Wanted, wantedOf } from '../../agent/holder/messages.js';
import { OutputKeeper } from '../../agent/outputs/output-keeper.js';
import { outputsOf } from '../../agent/outputs/words.js';
import { parseSeat } from '../../agent/policy/parse.js';
import { compileRules } from '../../agent/policy/udev-rules.js';
import type { SplitCard } from '../../agent/seat/controller.js';

const path = '/sys/devices/pci0000:00/0000:00:04.0';

const device = (sysname: string, minor: number): Device => ({
  ...{ syspath: `${path}/drm/${sysname}`, incarnation: '7', subsystem: 'drm', sysname, devtype: 'drm_minor' },
  ...{ node: `/dev/dri/${sysname}`, number: { major: 226, minor }, properties: { ID_PATH: 'pci-0000:00:04.0' } },
  ...{ tags: [], links: [], ancestors: [], attributes: {} },
});

const head = device('card2', 2);
const card: Unit = {
  ...{ id: `${path}/drm`, subsystem: 'drm', head, nodes: [device('renderD130', 130), head] },
  connectors: ['DP-1', 'DP-2', 'HDMI-A-1'],
};

/** Seat files with these lines below `devices`. */
function policyOf(seats: Readonly<Record<string, readonly string[]>>): Policy {
  const parsed = Object.entries(seats).map(([seat, matches]) => {
    const rules = matches.map((match) => `  - { label: x, match: { ID_PATH: pci-0000:00:04.0${match} } }\n`).join('');
    const text = `seat: ${seat}\ncontainer: { engine: lxc, name: ${seat} }\ndevices:\n${rules}`;
    const read = parseSeat(`${seat}.yaml`, text);
    if ('diagnostics' in read) throw new Error(JSON.stringify(read.diagnostics));
    return read.seat;
  });
  return { revision: 'test', console: 'mute', seats: parsed };
}

const judge = (seats: Readonly<Record<string, readonly string[]>>): Verdict => decider(policyOf(seats))(card);
const owners = (verdict: Verdict) =>
  Object.fromEntries((card.connectors ?? []).map((name) => [name, outputOwner(verdict, name)]));

test('seats share a card by its outputs, and what no rule names is nobody’s', () => {
  const verdict = judge({ left: [', connector: DP-1'], right: [', connector: "HDMI-A-*"'] });
  assert.is(verdict.kind, 'seat');
  assert.ok(isSplit(verdict));
  assert.equal(owners(verdict), { 'DP-1': ['left'], 'DP-2': [], 'HDMI-A-1': ['right'] });
  assert.is(hostSeat(verdict), 'seat-hotseat', 'the host has none of it');
});

test('a seat may have several outputs, by one rule or by several', () => {
  assert.equal(owners(judge({ left: [', connector: [DP-1, "HDMI-*"]'] })), {
    ...{ 'DP-1': ['left'], 'DP-2': [], 'HDMI-A-1': ['left'] },
  });
  const verdict = judge({ left: [', connector: DP-2', ', connector: "DP-*"'] });
  assert.equal(owners(verdict), { 'DP-1': ['left'], 'DP-2': ['left'], 'HDMI-A-1': [] });
  if (verdict.kind !== 'seat') throw new Error(verdict.kind);
  const lines = verdict.claims.flatMap(({ outputs = [] }) =>
    outputs.map(({ connector, rule }) => `${connector} ${rule.place.line}`),
  );
  assert.equal(lines, ['DP-1 5', 'DP-2 4'], 'the first rule that names an output is the one that gives it');
});

test('an output that two seats want goes to neither, and each keeps the rest', () => {
  const verdict = judge({ left: [', connector: "DP-*"'], right: [', connector: DP-2', ', connector: HDMI-A-1'] });
  assert.is(verdict.kind, 'seat');
  assert.equal(owners(verdict), { 'DP-1': ['left'], 'DP-2': 'conflict', 'HDMI-A-1': ['right'] });
});

test('a seat that names the card of which another has an output is in conflict with it', () => {
  assert.is(judge({ left: [''], right: [', connector: DP-2'] }).kind, 'conflict');
  assert.is(judge({ left: [''], right: [''] }).kind, 'conflict');
});

/** Owner and trace of an output, as `hotseat explain` has them. */
function explained(connector: string, seats: Readonly<Record<string, readonly string[]>>) {
  const seen = { name: connector, status: 'connected', monitor: 'ACME 1' } as const;
  const { owner, trace, outputs, rules } = outputExplanationOf({ unit: card, connector }, seen, judge(seats), 'abc');
  assert.is(outputs?.[0]?.monitor, 'ACME 1');
  const lines = trace.map(({ seat, place, failed }) => `${seat} ${place}: ${failed ?? 'matches'}`);
  return { owner, lines, rules };
}

test('an output is explained by the rules that could give it, as a device is', () => {
  const seats = { left: [', connector: DP-1', ', connector: "DP-*"', ''], right: [', connector: "HDMI-*"'] };
  assert.equal(explained('DP-2', seats), {
    owner: 'left',
    rules: ['left.yaml:5@abc'],
    lines: [
      'left left.yaml:4@abc: connector: DP-1 is not DP-2',
      'left left.yaml:5@abc: matches',
      'left left.yaml:6@abc: left.yaml:5 of the seat comes first',
      'right right.yaml:4@abc: connector: HDMI-* is not DP-2',
    ],
  });
  // A rule for the whole card counts for nothing behind one for an output.
  const first = explained('DP-2', { left: [', connector: DP-1', ''] });
  assert.is(first.owner, 'nobody');
  assert.is(first.lines[1], 'left left.yaml:5@abc: left.yaml:4 of the seat comes first');
  const both = explained('DP-1', { left: [', connector: DP-1'], right: [', connector: "DP-*"'] });
  assert.is(both.owner, 'conflict');
  assert.ok(both.lines.every((line) => line.endsWith(': matches')));
  assert.is(explained('DP-1', { left: [''] }).owner, 'left', 'with the whole card');
  assert.is(explained('DP-1', { left: [', ID_MODEL: x'] }).owner, 'host');
});

test('an output is found by its name, with its card where two have one of that name', () => {
  const other: Unit = { ...card, id: '/sys/other/drm', head: device('card3', 3), nodes: [device('card3', 3)] };
  const wanted = { unit: card, connector: 'DP-1' };
  for (const name of ['card2-DP-1', '/sys/class/drm/card2-DP-1', `${path}/drm/card2/card2-DP-1`]) {
    const found = findOutput([other, card], name);
    assert.equal({ unit: found?.unit, connector: found?.connector }, wanted, name);
  }
  assert.is(findOutput([card], 'DP-1')?.unit, card);
  assert.throws(() => findOutput([card, other], 'DP-1'), /2 cards have an output "DP-1": name it with its card/);
  assert.is(findOutput([card], 'card2'), undefined);
  assert.is(findOutput([card], 'card2-DP-9'), undefined);
});

test('of one seat the first rule says whether it has the card or outputs of it', () => {
  assert.not.ok(isSplit(judge({ left: ['', ', connector: DP-1'] })));
  const verdict = judge({ left: [', connector: DP-1', ''] });
  assert.equal(owners(verdict), { 'DP-1': ['left'], 'DP-2': [], 'HDMI-A-1': [] });
});

test('what an output cannot have beside it is said with its place', () => {
  const wrong = (rule: string): string[] => {
    const text = `seat: left\ncontainer: { engine: lxc, name: left }\ndevices:\n  - label: x\n${rule}`;
    const read = parseSeat('left.yaml', text);
    return 'diagnostics' in read ? read.diagnostics.map(({ place, message }) => `${place.line} ${message}`) : [];
  };
  const output = '    match: { connector: DP-1 }\n';
  assert.equal(wrong(output), []);
  assert.equal(wrong(`${output}    share: true\n`), ['6 "share" beside "connector": an output has one seat']);
  assert.equal(wrong(`${output}    whole: true\n`), ['6 "whole" beside "connector": an output comes without its card']);
  assert.equal(wrong(`${output}    render: true\n`), []);
  assert.equal(wrong('    match: { kind: display }\n    render: true\n'), [
    '6 "render" without "connector": a whole card comes with its render node',
  ]);
  assert.equal(wrong('    match: { connector: DP-1, subsystem: input }\n'), [
    '5 nothing is all of subsystem: input and subsystem: drm',
  ]);
  assert.match(wrong('    match: { kind: display, not: { connector: DP-1 } }\n')[0] ?? '', /unknown key "connector"/);
});

test('a rule for outputs matches no input, whatever else it says, here and in udev', () => {
  const policy = policyOf({ left: [', connector: DP-1'] });
  const keys: Device = {
    ...device('input7', 1),
    subsystem: 'input',
    syspath: `${path}/input/input7`,
    number: undefined,
  };
  const verdict = decider(policy)({ id: keys.syspath, subsystem: 'input', head: keys, nodes: [] });
  assert.is(verdict.kind, 'host');
  const lines = compileRules(policy)
    .split('\n')
    .filter((line) => line.includes('pci-0000:00:04.0'));
  assert.ok(lines.length > 0);
  for (const line of lines) assert.match(line, /SUBSYSTEM=="drm"/);
});

test('who has outputs hears of the card and gets no node of it', () => {
  const verdict = judge({ left: [', connector: DP-1'], right: [', connector: DP-2'] });
  if (verdict.kind !== 'seat') throw new Error(verdict.kind);
  const accounts = { user: () => 0, group: () => 0 };
  for (const claim of verdict.claims) {
    const { devices } = desiredUnit({ unit: card, claim }, accounts, ({ number }) => ({
      record: { id: `c226:${number?.minor}`, text: '', tags: [] },
      properties: {},
    }));
    assert.equal(
      devices.map(({ entry }) => [entry.id, entry.node]),
      [['c226:2', undefined]],
    );
  }
});

test('with `render: true` in any of its rules for a card a seat gets the render node, and no node that shows anything', () => {
  const rule = (connector: string, more: string): string =>
    `  - { label: x, match: { ID_PATH: pci-0000:00:04.0, connector: ${connector} }${more} }\n`;
  const rules = rule('DP-1', '') + rule('HDMI-A-1', ', render: true');
  const read = parseSeat('left.yaml', `seat: left\ncontainer: { engine: lxc, name: left }\ndevices:\n${rules}`);
  if ('diagnostics' in read) throw new Error(JSON.stringify(read.diagnostics));
  const verdict = decider({ revision: 'test', console: 'mute', seats: [read.seat] })(card);
  if (verdict.kind !== 'seat') throw new Error(verdict.kind);
  const accounts = { user: () => 0, group: (name: string) => (name === 'render' ? 105 : 44) };
  const nodes = verdict.claims.flatMap((claim) =>
    desiredUnit({ unit: card, claim }, accounts, ({ number }) => ({
      record: { id: `c226:${number?.minor}`, text: '', tags: [] },
      properties: {},
    })).devices.map(({ entry }) => [entry.id, entry.node]),
  );
  const render = {
    class: 'dri',
    name: 'renderD130',
    number: { major: 226, minor: 130 },
    uid: 0,
    gid: 105,
    mode: 0o660,
  };
  assert.equal(nodes, [
    ['c226:130', render],
    ['c226:2', undefined],
  ]);
});

test('a monitor that comes or goes is news for the seat of that output alone', () => {
  const verdict = judge({ left: [', connector: DP-1'], right: [', connector: [DP-2, HDMI-A-1]'] });
  if (verdict.kind !== 'seat') throw new Error(verdict.kind);
  assert.equal(hearing(verdict, ['HDMI-A-1']), ['right']);
  assert.equal(hearing(verdict, ['DP-1', 'DP-2']), ['left', 'right']);
  assert.equal(hearing(verdict, []), ['left', 'right'], 'a monitor of another size, say');
});

test('a policy that moves an output says which, and that taking one into conflict is dangerous', () => {
  const before = judge({ left: [', connector: DP-1'], right: [', connector: DP-2'] });
  const plan = (seats: Readonly<Record<string, readonly string[]>>) => {
    const { changes, dangers } = changesOf([card], new Map([[card.id, before]]), decider(policyOf(seats)));
    return { changes: changes.map(({ output, from, to }) => `${output} ${from} > ${to}`), dangers };
  };
  assert.equal(plan({ left: [', connector: DP-1'], right: [', connector: HDMI-A-1'] }), {
    changes: ['DP-2 right > nobody', 'HDMI-A-1 nobody > right'],
    dangers: [],
  });
  const { changes, dangers } = plan({ left: [', connector: "DP-*"'], right: [', connector: DP-2'] });
  assert.equal(changes, ['DP-2 right > conflict']);
  assert.equal(dangers, [`${card.id} DP-2 is bound to right and would be in conflict`]);
  assert.equal(plan({ left: [''] }).changes, ['DP-2 right > left', 'HDMI-A-1 nobody > left']);
});

test('each output gets a CRTC while that can be, whoever comes first', () => {
  const outputs = [
    { connector: 'DP-1', crtcs: [1, 2] },
    { connector: 'DP-2', crtcs: [1] },
  ];
  assert.equal(
    matchCrtcs(outputs),
    new Map(
      [
        ['DP-1', 2],
        ['DP-2', 1],
      ].sort() as [string, number][],
    ),
  );
  assert.equal(matchCrtcs(outputs, new Map([['DP-1', 1]])), new Map([['DP-1', 1]]), 'what is leased stays');
});

test('no other choice of CRTCs serves more outputs', () => {
  const output = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 });
  fc.assert(
    fc.property(fc.array(output, { maxLength: 5 }), (all) => {
      const outputs = all.map((crtcs, index) => ({ connector: `DP-${index}`, crtcs }));
      const chosen = matchCrtcs(outputs);
      assert.is(new Set(chosen.values()).size, chosen.size, 'no CRTC twice');
      for (const [name, crtc] of chosen) {
        assert.ok(outputs.find(({ connector }) => connector === name)?.crtcs.includes(crtc));
      }
      const best = (left: readonly (readonly number[])[], used: readonly number[]): number => {
        const [first, ...rest] = left;
        if (first === undefined) return 0;
        const without = best(rest, used);
        return Math.max(
          without,
          ...first.filter((crtc) => !used.includes(crtc)).map((crtc) => 1 + best(rest, [...used, crtc])),
        );
      };
      assert.is(chosen.size, best(all, []));
    }),
  );
});

const connectors = [
  { id: 40, name: 'DP-1', crtcs: [30, 31] },
  { id: 41, name: 'DP-2', crtcs: [30] },
  { id: 42, name: 'HDMI-A-1', crtcs: [31, 32] },
];

test('who starts first leaves the only CRTC of another seat’s output alone', () => {
  const wanted = [
    { seat: 'left', connectors: ['DP-1'] },
    { seat: 'right', connectors: ['DP-2'] },
  ];
  const left = leaseFor('left', wanted, connectors, []);
  assert.equal(left, { outputs: [{ connector: 'DP-1', crtc: 31 }], connectors: [40], missing: [] });
  const right = leaseFor('right', wanted, connectors, left.outputs);
  assert.equal(right.outputs, [{ connector: 'DP-2', crtc: 30 }]);
});

test('an output that cannot be had is said, and the others are leased', () => {
  const wanted = [{ seat: 'left', connectors: ['DP-2', 'DP-7', 'HDMI-A-1'] }];
  const { outputs, missing } = leaseFor('left', wanted, connectors, [{ connector: 'DP-1', crtc: 30 }]);
  assert.equal(
    outputs.map(({ connector }) => connector),
    ['HDMI-A-1'],
  );
  assert.equal(missing, ['no CRTC is left for DP-2', 'the card has no connector DP-7']);
});

test('a lease stays while all of it is its seat’s, also when the seat gets more', () => {
  const outputs = [{ connector: 'DP-1', crtc: 31 }];
  assert.ok(mayStay('left', outputs, [{ seat: 'left', connectors: ['DP-1', 'DP-2'] }]));
  assert.not.ok(mayStay('left', outputs, [{ seat: 'left', connectors: ['DP-2'] }]));
  assert.not.ok(mayStay('left', outputs, [{ seat: 'right', connectors: ['DP-1'] }]));
});

test('status says how a seat stands with its outputs, and what to do', () => {
  const verdict = judge({ left: [', connector: DP-1'], right: [', connector: DP-2'] });
  if (verdict.kind !== 'seat') throw new Error(verdict.kind);
  const cards = (isFree: boolean) => [{ unit: card, claims: verdict.claims, isFree }];
  const holder = (leased: readonly string[], revoked: HolderState['revoked'] = [], problem?: string): HolderState => ({
    ...{ pid: 1, revoked, sockets: [] },
    cards: [
      { node: '/dev/dri/card2', number: '226:2', problem, seats: [{ seat: 'left', connectors: ['DP-1'], leased }] },
    ],
  });
  const left = (...args: [boolean, HolderState | undefined, string?]) => {
    const [first] = outputsOf('left', cards(args[0]), args[1], args[2]);
    return `${first?.state}: ${first?.problem ?? 'fine'}`;
  };
  assert.is(left(true, holder(['DP-1'])), 'leased: fine');
  assert.is(left(true, holder([])), 'waiting: fine');
  assert.match(left(true, holder([], [{ seat: 'left', node: '/dev/dri/card2' }])), /^restart: .*start it again/);
  assert.match(left(false, holder([])), /^blocked: \/dev\/dri\/card2 is still in a seat as a whole/);
  assert.match(left(true, holder([], [], 'another display server is master')), /^blocked: another display server/);
  assert.match(left(true, undefined, 'the holder does not run'), /^blocked: the holder does not run/);
  const silent = holder(['DP-1'], [], 'it does not answer');
  assert.is(left(true, silent), 'leased: it does not answer', 'the picture stays on');
  const kept = (state: HolderState) =>
    outputsOf('left', [], state, undefined).map((one) => `${one.state}: ${one.problem}`);
  assert.equal(kept(silent), ['blocked: its outputs are not taken back yet: it does not answer']);
  assert.equal(kept(holder(['DP-1'])), ['blocked: its outputs are not taken back yet'], 'also while that is under way');
  assert.equal(outputsOf('left', cards(true), holder([]), undefined)[0]?.sharedWith, ['right']);
  const open = holder(['DP-1']);
  const unguarded = { ...open, cards: open.cards.map((one) => ({ ...one, unguarded: 'there is no BTF' })) };
  assert.is(outputsOf('left', cards(true), open, undefined)[0]?.unguarded, undefined);
  assert.is(outputsOf('left', cards(true), unguarded, undefined)[0]?.unguarded, 'there is no BTF');
  assert.equal(outputsOf('nobody', cards(true), holder([]), undefined), []);
  const lost = holder([], [{ seat: 'left', node: '/dev/dri/card2' }]);
  assert.is(outputsOf('left', [], lost, undefined)[0]?.state, 'restart', 'also when it must have none');
});

test('an agent that starts says nothing to the holder before a policy is in force, and then all at once', async () => {
  const base = mkdtempSync(join(tmpdir(), 'hotseat-outputs-'));
  const heard: Wanted[] = [];
  const server = createServer((socket) => {
    const state: HolderState = { pid: 1, cards: [], revoked: [], sockets: [] };
    socket.write(`${JSON.stringify(state)}\n`);
    socket.on('data', (data) => void heard.push(wantedOf(data.toString()) as Wanted));
  });
  const path = join(base, 'holder.sock');
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const verdict = judge({ left: [', connector: DP-1'] });
  if (verdict.kind !== 'seat') throw new Error(verdict.kind);
  let cards: SplitCard[] = [];
  const keeper = new OutputKeeper({
    log: pino({ level: 'silent' }),
    controller: {
      splitCards: () => cards,
      outlets: () => new Map(),
      cgroupOf: () => undefined,
      receivers: () => [],
      assignments: { freedCards: () => new Map() },
      serve: () => Promise.resolve(),
    },
    tell: () => undefined,
    marker: join(base, 'marker'),
    holder: path,
  });
  try {
    writeFileSync(join(base, 'marker'), '');
    assert.ok(keeper.has(head), 'what the former agent may have left with the holder is nobody’s node');
    keeper.schedule();
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(heard, []);
    cards = [{ unit: card, claims: verdict.claims, isFree: true }];
    keeper.begin();
    for (let left = 200; heard.length === 0 && left > 0; left--)
      await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(heard[0]?.cards, [
      {
        ...{ node: '/dev/dri/card2', number: '226:2', incarnation: '7' },
        seats: [{ seat: 'left', connectors: ['DP-1'] }],
      },
    ]);
    assert.not.ok(keeper.has(head), 'it has been heard, and holds nothing');
  } finally {
    keeper.close();
    server.close();
    rmSync(base, { recursive: true });
  }
});

test('a card is nobody’s as a whole before the display servers that had leases of it have ended', async () => {
  const base = mkdtempSync(join(tmpdir(), 'hotseat-outputs-'));
  const path = join(base, 'holder.sock');
  const revoked = [{ seat: 'left', node: '/dev/dri/card2' }];
  const states: HolderState[] = [];
  let tell: (state: HolderState) => void = () => undefined;
  const server = createServer((socket) => {
    tell = (state) => {
      states.push(state);
      socket.write(`${JSON.stringify(state)}\n`);
    };
    tell({ pid: 1, cards: [], revoked, sockets: [] });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  let freed = 0;
  const keeper = new OutputKeeper({
    log: pino({ level: 'silent' }),
    controller: {
      ...{ splitCards: () => [], outlets: () => new Map(), cgroupOf: () => undefined, receivers: () => [] },
      assignments: { freedCards: () => new Map() },
      serve: () => {
        freed += 1;
        return Promise.resolve();
      },
    },
    ...{ tell: () => undefined, marker: join(base, 'marker'), holder: path },
  });
  const until = async (isSo: () => boolean): Promise<void> => {
    for (let left = 500; !isSo() && left > 0; left--) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(isSo());
  };
  try {
    writeFileSync(join(base, 'marker'), '');
    keeper.begin();
    await until(() => states.length > 0 && freed > 0);
    assert.ok(keeper.mayHold && keeper.has(head));
    assert.is(keeper.whyHeld(head), 'display servers that had outputs of /dev/dri/card2 still run at left: end them');
    assert.not.ok(keeper.has({ ...head, node: '/dev/dri/card3', number: { major: 226, minor: 3 } }));
    const before = freed;
    tell({ pid: 1, cards: [], revoked: [], replaced: [{ seat: 'right', node: '/dev/dri/card2' }], sockets: [] });
    await until(() => keeper.whyHeld(head)?.includes('right') === true);
    assert.ok(keeper.has(head), 'one that another has replaced has its framebuffers still');
    assert.is(freed, before + 1);
    tell({ pid: 1, cards: [], revoked: [], replaced: [], sockets: [] });
    await until(() => !keeper.has(head));
    assert.is(freed, before + 2, 'whoever waits for it is served');
    assert.is(keeper.whyHeld(head), undefined);
    await until(() => !existsSync(join(base, 'marker')));
  } finally {
    keeper.close();
    server.close();
    rmSync(base, { recursive: true });
  }
});

test.run();
