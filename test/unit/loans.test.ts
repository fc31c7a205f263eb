import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LoanBook } from '../../agent/active/loan-book.js';
import { attached } from '../../agent/control/attached.js';
import { explanationOf, infoOf, planOf } from '../../agent/control/inspect.js';
import { decider, hostSeat } from '../../agent/core/decide.js';
import type { Device, Unit } from '../../agent/core/device.js';
import { placementOf } from '../../agent/core/hid.js';
import { isLoan, isThing, lentTo, thingOf, thisVery } from '../../agent/core/loan.js';
import type { Loan, Policy, Rule } from '../../agent/core/policy.js';
import { unreadAt } from '../../agent/core/verdict.js';
import { formatDiagnostic } from '../../agent/policy/diagnostics.js';
import { parseFixture } from '../../agent/policy/fixture.js';
import { compileRules } from '../../agent/policy/udev-rules.js';
import { checkout } from './hotseat.js';
import { anyHead, anyPolicy, head, policyOf, unit } from './policy-arbitraries.js';
import { run, tokens } from './policy-udev-model.js';

const loanOf = (lent: Unit, seat: string, until?: number): Loan => ({
  ...{ seat, thing: thingOf(lent), name: 'Keys', until, by: 1000 },
});
/** As udev has it before our rules: the admin's word is about the device itself. */
const before = ({ properties: { HOTSEAT_ADMIN_SEAT: admin, ...properties }, ...rest }: Device): Device => ({
  ...rest,
  properties: { ...properties, ...(admin === undefined ? {} : { ID_SEAT: admin }) },
});
const files = ['device/drm/card1'];

test('what is given by hand outranks every rule, in the agent as in udev, and nothing else is touched', () => {
  let decisive = 0;
  fc.assert(
    fc.property(anyPolicy, anyHead, anyHead, fc.nat(), (policy, mine, other, pick) => {
      const seat = policy.seats[pick % policy.seats.length]?.seat ?? '';
      const whole: Policy = { ...policy, loans: [loanOf(unit(mine), seat)] };
      const rules = tokens(compileRules(whole));
      const verdict = decider(whole)(unit(mine));
      assert.is(verdict.kind, 'seat');
      assert.equal(verdict.kind === 'seat' && verdict.claims.map((claim) => claim.seat), [seat]);
      assert.ok(verdict.kind === 'seat' && verdict.claims.every(({ rule }) => isLoan(rule)));
      const seen = run(rules, { device: before(mine), parent: {}, files });
      assert.is(seen['HOTSEAT_SEAT'], `seat-${seat}`);
      assert.is(seen['ID_SEAT'], `seat-${seat}`);
      if (hostSeat(decider(policy)(unit(mine))) !== `seat-${seat}`) decisive += 1;

      const elsewhere = decider(whole)(unit(other));
      if (!isThing(thingOf(unit(mine)), thingOf(unit(other)))) {
        assert.is(hostSeat(elsewhere), hostSeat(decider(policy)(unit(other))));
      }
      assert.is(run(rules, { device: before(other), parent: {}, files })['HOTSEAT_SEAT'], hostSeat(elsewhere));
    }),
    { numRuns: 3000 },
  );
  assert.ok(decisive > 1000, 'without it most would be elsewhere');
});

test('whatever a device says of itself, it is found again, and no line is added to the rules', () => {
  const text = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 12 }), fc.string({ maxLength: 12 }));
  const piece = fc.oneof(
    text,
    fc.constantFrom('"', '*', '[a]', '?', '\\', '|', '\n', '$env{X}', 'ü', ', RUN+="x', '%k'),
  );
  fc.assert(
    fc.property(piece, piece, piece, fc.boolean(), (path, serial, name, hangs) => {
      const device = {
        ...head({ properties: { ID_PATH: hangs ? path : '', ID_SERIAL: serial } }),
        // udevd and the agent cut white space from the end of an attribute.
        attributes: { name: name.trimEnd(), uniq: '' },
      };
      const whole: Policy = { ...policyOf([[], []]), loans: [loanOf(unit(device), 's1')] };
      const compiled = compileRules(whole);
      assert.is(
        compiled.split('\n').length,
        compileRules({ ...whole, loans: [loanOf(unit(head({})), 's1')] }).split('\n').length,
      );
      assert.is(hostSeat(decider(whole)(unit(device))), 'seat-s1');
      assert.is(run(tokens(compiled), { device, parent: {}, files })['HOTSEAT_SEAT'], 'seat-s1');
    }),
    { numRuns: 2000 },
  );
});

test('the newest loan of several counts, and one to a seat that the policy does not have counts not at all', () => {
  const device = unit(head({ properties: { ID_PATH: 'pci-1', ID_SERIAL: 'A' } }));
  const policy = policyOf([[[]], []]);
  const seatOf = (...loans: Loan[]) => hostSeat(decider({ ...policy, loans })(device));
  assert.is(seatOf(), 'seat-s0');
  assert.is(seatOf(loanOf(device, 's1')), 'seat-s1');
  assert.is(seatOf(loanOf(device, 's1'), loanOf(device, 's0')), 'seat-s1');
  assert.is(seatOf(loanOf(device, 'gone')), 'seat-s0');
  assert.is(seatOf(loanOf(device, 'gone'), loanOf(device, 's1')), 'seat-s1');
});

test('a device comes back as itself: another place in sysfs is the same, another port or serial number is not', () => {
  const loan = loanOf(unit(head({ properties: { ID_PATH: 'pci-1', ID_SERIAL: 'A' } })), 's1');
  const policy: Policy = { ...policyOf([[], []]), loans: [loan] };
  const seatOf = (device: Device) => hostSeat(decider(policy)(unit(device)));
  const again = head({ properties: { ID_PATH: 'pci-1', ID_SERIAL: 'A' } });
  assert.is(seatOf({ ...again, syspath: '/sys/devices/x/input/input99', sysname: 'input99' }), 'seat-s1');
  assert.is(seatOf(head({ properties: { ID_PATH: 'pci-2', ID_SERIAL: 'A' } })), undefined);
  assert.is(seatOf(head({ properties: { ID_PATH: 'pci-1', ID_SERIAL: 'B' } })), undefined);
  assert.is(seatOf(head({ subsystem: 'sound', properties: { ID_PATH: 'pci-1', ID_SERIAL: 'A' } })), undefined);
});

test('what hangs on nothing is told apart by its name and address', () => {
  const bluetooth = (uniq: string) => ({ ...head({}), attributes: { name: 'Keys', uniq } });
  const policy: Policy = { ...policyOf([[], []]), loans: [loanOf(unit(bluetooth('aa:bb')), 's1')] };
  assert.is(hostSeat(decider(policy)(unit(bluetooth('aa:bb')))), 'seat-s1');
  assert.is(hostSeat(decider(policy)(unit(bluetooth('aa:cc')))), undefined);
});

test('what hangs on one port is told apart by what each says of itself, or else by the kernel’s name', () => {
  const paired = (uniq: string, sysname = 'input1') => ({
    ...head({ properties: { ID_PATH: 'pci-1', ID_SERIAL: 'Receiver' } }),
    ...{ sysname, attributes: { name: 'Keys', uniq, phys: 'usb-1/input2:1' } },
  });
  const seatOf = (device: Device, loan: Loan) =>
    hostSeat(decider({ ...policyOf([[], []]), loans: [loan] })(unit(device)));
  const loan = loanOf(unit(paired('one')), 's1');
  assert.equal(
    [
      paired('one'),
      paired('two'),
      { ...paired('one'), attributes: { name: 'Keys', uniq: 'one', phys: 'usb-1/input2:2' } },
    ].map((device) => seatOf(device, loan)),
    ['seat-s1', undefined, undefined],
  );
  const very: Loan = { ...loan, thing: thisVery(unit(paired('', 'input42'))) };
  assert.equal(
    ['input42', 'input43'].map((name) => seatOf(paired('', name), very)),
    ['seat-s1', undefined],
  );
  const former: Loan = { ...loan, thing: { ...loan.thing, name: undefined, uniq: undefined, phys: undefined } };
  assert.is(seatOf(paired('one'), former), 'seat-s1', 'one that was made by an older agent');
});

test('what a rule says of a device wherever it is counts for whom it was lent to: the hard way, the raw node', () => {
  const device = unit(head({ properties: { ID_PATH: 'pci-1' } }));
  const said = (more: Partial<Rule>) => {
    const policy = policyOf([[[]], []]);
    const seats = policy.seats.map((seat) => ({ ...seat, rules: seat.rules.map((rule) => ({ ...rule, ...more })) }));
    const verdict = decider({ ...policy, seats, loans: [loanOf(device, 's1')] })(device);
    return verdict.kind === 'seat' ? verdict.claims.map(({ seat, rule }) => [seat, rule.revoke, rule.hidraw]) : [];
  };
  assert.equal(said({}), [['s1', 'auto', false]]);
  assert.equal(said({ revoke: 'hard' }), [['s1', 'hard', false]]);
  assert.equal(said({ hidraw: true }), [['s1', 'auto', true]]);
});

test('of a rule that may match once the device can be read, the hard way counts at once, and the raw node waits', () => {
  const usb = { ...{ syspath: '/sys/devices/x', sysname: 'x', subsystem: 'usb', driver: undefined }, attributes: {} };
  const plugged = head({ properties: { ID_PATH: 'pci-1' } });
  const judged = (more: Partial<Rule>, serial?: string) => {
    const known = serial === undefined ? { unread: ['serial'] } : { attributes: { serial } };
    const device = unit({ ...plugged, ancestors: [{ ...usb, ...known }] });
    const policy = policyOf([[[{ on: 'attribute', key: 'serial', patterns: ['A1'] }]], []]);
    const seats = policy.seats.map((seat) => ({ ...seat, rules: seat.rules.map((rule) => ({ ...rule, ...more })) }));
    const verdict = decider({ ...policy, seats, loans: [loanOf(device, 's1')] })(device);
    if (verdict.kind !== 'seat') return verdict.kind;
    const raw = placementOf([{ name: 'input7', verdict }]);
    return [...verdict.claims.map(({ rule }) => `${rule.revoke} ${rule.hidraw}`), raw?.kind ?? 'no', unreadAt(verdict)];
  };
  const at = ['/sys/devices/x'];
  assert.equal(judged({}), ['auto false', 'no', []], 'nothing depends on it');
  assert.equal(judged({ revoke: 'hard' }), ['hard false', 'no', at]);
  assert.equal(judged({ hidraw: true }), ['auto false', 'withheld', at]);
  assert.equal(judged({ revoke: 'hard', hidraw: true }, 'A1'), ['hard true', 'seat', []]);
  assert.equal(judged({ revoke: 'hard', hidraw: true }, 'B2'), ['auto false', 'no', []]);
});

test('explain, devices and plan say so', () => {
  const device = unit(head({ properties: { ID_PATH: 'pci-1' } }));
  const until = Date.UTC(2030, 0, 2);
  const policy: Policy = { ...policyOf([[[]], []]), loans: [loanOf(device, 's1', until)] };
  const verdict = decider(policy)(device);
  const { owner, rules, trace } = explanationOf(device, verdict, 'abc', []);
  assert.is(owner, 's1');
  assert.equal(rules, ['hotseat attach']);
  assert.equal(trace, [
    { seat: 's1', label: 'until 2030-01-02T00:00:00.000Z, by uid 1000', place: 'hotseat attach', failed: undefined },
    { seat: 's0', label: 'x', place: 's0.yaml:1@abc', failed: 'matches, but the device was attached to s1 by hand' },
  ]);
  assert.is(infoOf(device, verdict, 'abc').owner, 's1');
  assert.equal(
    planOf(policy, [device], new Map([[device.id, verdict]])).changes,
    [],
    'another policy takes it from nobody',
  );
  const back = planOf({ ...policy, loans: [] }, [device], new Map([[device.id, verdict]]));
  assert.equal(
    back.changes.map(({ from, to }) => [from, to]),
    [['s1', 's0']],
  );
});

test("the class of what is lent is the seat's, whatever its rules are about", () => {
  const card = unit(head({ subsystem: 'sound', properties: { ID_PATH: 'pci-1' } }));
  const policy: Policy = { ...policyOf([[], []]), loans: [loanOf(card, 's1')] };
  assert.equal(
    policy.seats.map((seat) => lentTo(policy, seat)),
    [[], ['sound']],
  );
});

test('of every recorded device, the rules put it where it was attached', () => {
  const directory = join(checkout, 'policies/tests/devices');
  for (const name of readdirSync(directory)) {
    const parsed = parseFixture(name, readFileSync(join(directory, name), 'utf8'));
    if ('diagnostics' in parsed) throw new Error(parsed.diagnostics.map(formatDiagnostic).join('\n'));
    const policy: Policy = { ...policyOf([[], []]), loans: [loanOf(parsed.unit, 's1')] };
    assert.is(hostSeat(decider(policy)(parsed.unit)), 'seat-s1', name);
    const seen = run(tokens(compileRules(policy)), { device: parsed.unit.head, parent: {}, files });
    assert.is(seen['HOTSEAT_SEAT'], 'seat-s1', name);
  }
});

test('the book survives its reader, whole or not at all; a damaged one is said and lends nothing', () => {
  const directory = mkdtempSync(join(tmpdir(), 'hotseat-loans-'));
  try {
    const file = join(directory, 'run', 'loans.json');
    const said: Error[] = [];
    const book = () => new LoanBook(file, (error) => said.push(error));
    assert.equal(book().loans, []);
    const loans = [
      loanOf(unit(head({ properties: { ID_PATH: 'pci-1' } })), 'left', 5),
      loanOf(unit(head({})), 'right'),
    ];
    const first = book();
    first.write(loans);
    assert.equal(first.loans, loans);
    assert.equal(book().loans, loans);
    assert.ok(book().loans.every(({ thing }, index) => isThing(thing, loans[index]?.thing ?? thing)));
    assert.is(statSync(file).mode & 0o777, 0o600);
    assert.equal(said, []);
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, -3));
    assert.equal(book().loans, []);
    assert.is(said.length, 1);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('attach waits for a device whose driver was bound again, and for no other', async () => {
  const mine = unit(head({}));
  const loan = loanOf(mine, 's1');
  const judged = new Map([[mine.id, decider({ ...policyOf([[], []]), loans: [loan] })(mine)]]);
  /** Each state is there for one look; the last one stays. */
  const moved = async (...states: { plugged: boolean; at: string[]; problems?: string[] }[]) => {
    let looks = -1;
    const now = () => states[Math.min(Math.max(looks, 0), states.length - 1)];
    const table = {
      units: () => {
        looks += 1;
        return now()?.plugged === true ? [mine] : [];
      },
    };
    const controller = { problems: () => now()?.problems ?? [] };
    const assignments = { judged, holders: () => now()?.at ?? [] };
    const { owner, problem } = await attached({ controller, assignments, table }, async () => loan);
    return { owner, problem, looks };
  };
  const left = { plugged: true, at: ['s0'] };
  const away = { plugged: false, at: [] };
  const back = { plugged: true, at: [] };
  const right = { plugged: true, at: ['s1'] };
  assert.equal(await moved(left, right), { owner: 's1', problem: undefined, looks: 1 });
  assert.equal(await moved(left, away, away, back, right), { owner: 's1', problem: undefined, looks: 4 });
  assert.equal(await moved(away), { owner: 'not plugged', problem: undefined, looks: 1 }, 'nobody plugs it');
  const held = { ...left, problems: ['s0: it cannot leave'] };
  assert.equal(await moved(left, held), { owner: 's1', problem: 'it is at s0 now: s0: it cannot leave', looks: 1 });
});

test.run();
