import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { decider } from '../core/decide.js';
import type { Unit } from '../core/device.js';
import { mismatch } from '../core/match.js';
import { physicalOf } from '../core/physical.js';
import { type Diagnostic, lineOf, type Policy, type Rule, type SeatPolicy } from '../core/policy.js';
import { type Claim, claimsOf, type Verdict } from '../core/verdict.js';
import type { Text } from './files.js';
import { parseFixture } from './fixture.js';
import { compose, loadDirectory, readPlain, seatFiles } from './load.js';
import { nearest } from './nearest.js';
import { parseSeat } from './parse.js';
import { recordedDevices, togetherAmong } from './recorded.js';
import { type Expectation, type PolicyTest, parseTests } from './test-file.js';

/** Below the directory of a policy; the loader looks at no directory, so that these are no seat files. */
const testsDirectory = 'tests';

export interface TestResult {
  readonly test: PolicyTest;
  /** The verdict for the device, in words. */
  readonly got: string;
  /** Why it did not pass, a line each; none when it did. */
  readonly failures: readonly string[];
}

/** A rule, and whether it claimed a device in any test. */
export interface Coverage {
  readonly seat: string;
  readonly rule: Rule;
  readonly hit: boolean;
}

export type TestRun =
  | { readonly ok: true; readonly results: readonly TestResult[]; readonly coverage: readonly Coverage[] }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] };

/** Runs all tests beside a policy; `pc` is the host name of tests that name none. Needs no agent. */
export function runTests(directory: string, pc: string): TestRun {
  const loaded = loadDirectory(directory, pc);
  const diagnostics: Diagnostic[] = [];
  const tests = readTests(directory, diagnostics);
  const units = readDevices(directory, tests, diagnostics);
  if (!loaded.ok) return { ok: false, diagnostics: [...loaded.diagnostics, ...diagnostics] };

  const policies = new Map<string, Policy>([[pc, loaded.policy]]);
  for (const host of new Set(tests.flatMap((test) => test.pc ?? []))) {
    const composed = compose(loaded.texts, 'unversioned', host);
    if (composed.ok) policies.set(host, composed.policy);
    else diagnostics.push(...composed.diagnostics);
  }
  if (diagnostics.length > 0) return { ok: false, diagnostics };

  // A unit that no test names can still be part of a device that a test names.
  const known = [...units.values()];
  const others = recordedDevices(directory).filter((unit) => !known.some((one) => isDeepStrictEqual(one, unit)));
  const groups = togetherAmong([...known, ...others]);
  const hits = new Set<string>();
  const results = tests.flatMap((test): TestResult[] => {
    const policy = policies.get(test.pc ?? pc);
    const unit = units.get(test.device);
    if (policy === undefined || unit === undefined) return [];
    const recorded = groups.find((group) => group.includes(unit)) ?? [];
    const parts = recorded.filter(({ id }) => id !== unit.id && physicalOf(id) === physicalOf(unit.id));
    const verdict = decider(policy)(unit, parts);
    for (const { rule } of claimsOf(verdict)) hits.add(lineOf(rule.place));
    return [{ test, got: describe(verdict), failures: failuresOf(test.expect, verdict, policy, unit) }];
  });
  return { ok: true, results, coverage: coverageOf(loaded.texts, hits) };
}

function readTests(directory: string, diagnostics: Diagnostic[]): PolicyTest[] {
  if (!existsSync(join(directory, testsDirectory))) return [];
  return seatFiles(join(directory, testsDirectory), diagnostics).flatMap((name) => {
    const file = `${testsDirectory}/${name}`;
    const text = readPlain(directory, file, diagnostics);
    const parsed = text === undefined ? { tests: [] } : parseTests(file, text);
    if ('tests' in parsed) return parsed.tests;
    diagnostics.push(...parsed.diagnostics);
    return [];
  });
}

/** Each recorded device that tests name, read once. */
function readDevices(directory: string, tests: readonly PolicyTest[], diagnostics: Diagnostic[]): Map<string, Unit> {
  const units = new Map<string, Unit>();
  const tried = new Set<string>();
  for (const { device, devicePlace } of tests) {
    if (tried.has(device)) continue;
    tried.add(device);
    const file = `${testsDirectory}/${device}`;
    if (!existsSync(join(directory, file))) {
      const remedy = 'make it with hotseat record DEVICE --out, or name another';
      diagnostics.push({ place: devicePlace, message: `there is no file ${file}`, remedy });
      continue;
    }
    const text = readPlain(directory, file, diagnostics);
    const parsed = text === undefined ? undefined : parseFixture(file, text);
    if (parsed === undefined) continue;
    if ('unit' in parsed) units.set(device, parsed.unit);
    else diagnostics.push(...parsed.diagnostics);
  }
  return units;
}

/** Every rule of every seat file, those for other PCs as well. */
const coverageOf = (texts: readonly Text[], hits: ReadonlySet<string>): Coverage[] =>
  texts
    .filter(({ name }) => name !== 'host.yaml')
    .flatMap(({ name, text }) => {
      const parsed = parseSeat(name, text);
      if ('diagnostics' in parsed) return [];
      const { seat, rules } = parsed.seat;
      return rules.map((rule) => ({ seat, rule, hit: hits.has(lineOf(rule.place)) }));
    });

const claimText = ({ seat, rule }: Claim): string => `${seat} by "${rule.label}" (${lineOf(rule.place)})`;

function describe(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'host':
      return 'host, no rule wants it';
    case 'unread':
      return `nobody, of ${verdict.at.join(' and ')} not all attributes could be read`;
    case 'seat':
      return verdict.claims.map(claimText).join(' and ');
    case 'conflict':
      return `conflict of ${verdict.claims.map(claimText).join(' and ')}`;
  }
}

/**
 * Why a verdict differs from the expected one: the rule that won, and the first failed condition of the expected rule.
 */
function failuresOf(expect: Expectation, verdict: Verdict, policy: Policy, unit: Unit): string[] {
  const got = `got ${describe(verdict)}`;
  if (expect.kind === 'host') return verdict.kind === 'host' ? [] : [`expected host, ${got}`];
  const claims = claimsOf(verdict);
  const seats = claims.map(({ seat }) => seat);
  const agree = verdict.kind === expect.kind && same(seats, expect.seats);
  const rules = expect.kind === 'seat' ? expect.rules : undefined;
  const byRule = rules === undefined || claims.every(({ rule }) => rules.includes(rule.label));
  const unused = (rules ?? []).filter((label) => !claims.some(({ rule }) => rule.label === label));
  if (agree && byRule && unused.length === 0) return [];
  const kind = expect.kind === 'conflict' ? 'conflict of ' : '';
  const wanted = expect.seats.map((seat, index) => {
    const label = rules?.[Math.min(index, rules.length - 1)];
    return label === undefined ? seat : `${seat} by "${label}"`;
  });
  return [
    `expected ${kind}${wanted.join(' and ')}, ${got}`,
    ...expect.seats.flatMap((seat) => reasons(seat, rules, claims, policy, unit)),
  ];
}

/** Why the rules of one seat that were to win did not. */
function reasons(
  name: string,
  labels: readonly string[] | undefined,
  claims: readonly Claim[],
  policy: Policy,
  { head, nodes }: Unit,
): string[] {
  const seat = policy.seats.find((one) => one.seat === name);
  if (seat === undefined) {
    const near = nearest(
      name,
      policy.seats.map((one) => one.seat),
    );
    return [`there is no seat ${JSON.stringify(name)}${near === undefined ? '' : `: did you mean "${near}"?`}`];
  }
  const meant = seat.rules.filter(({ label }) => labels === undefined || labels.includes(label));
  const winner = claims.find((claim) => claim.seat === name)?.rule;
  if (meant.length === 0) return unlabelled(seat, labels ?? []);
  // Without a label any of its rules would have done, and one did.
  if (labels === undefined && winner !== undefined) return [];
  return meant
    .filter((rule) => rule !== winner)
    .map((rule) => {
      const why =
        mismatch(rule, head, nodes) ??
        (winner === undefined ? undefined : `${lineOf(winner.place)} of the seat comes first`);
      return `${lineOf(rule.place)} "${rule.label}": ${why ?? 'matches'}`;
    });
}

function unlabelled({ seat, rules }: SeatPolicy, labels: readonly string[]): string[] {
  const known = rules.map(({ label }) => label);
  return labels.map((label) => {
    const near = nearest(label, known);
    return `no rule of ${seat} is labelled "${label}"${near === undefined ? '' : `: did you mean "${near}"?`}`;
  });
}

const same = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((one) => b.includes(one));
