import { hostname } from 'node:os';
import { type Diagnostic, lineOf } from '../core/policy.js';
import { formatDiagnostic } from '../policy/diagnostics.js';
import type { TestResult, TestRun } from '../policy/test-run.js';
import { json } from './answer.js';
import { printable } from './printable.js';
import { defaultPolicies } from './run.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** The findings of `hotseat test`. */
export type TestAnswer =
  | {
      /** Whether there are tests, and all of them passed. */
      readonly ok: boolean;
      /** The tests. */
      readonly results: readonly TestAnswerResult[];
      /** The rules, and whether a test hits them. */
      readonly coverage: readonly TestAnswerRule[];
    }
  | {
      /** The files have mistakes. */
      readonly ok: false;
      /** All mistakes of the seat files and of the tests. */
      readonly diagnostics: readonly Diagnostic[];
    };

/** One test. */
export interface TestAnswerResult {
  /** File and line of the test. */
  readonly place: string;
  /** Its name, if it has one. */
  readonly name?: string | undefined;
  /** The file that describes the device. */
  readonly device: string;
  /** Whether it passed. */
  readonly passed: boolean;
  /** Where the device goes, in words. */
  readonly got: string;
  /** Why it did not pass, in words. */
  readonly failures: readonly string[];
}

/** One rule of a seat file. */
export interface TestAnswerRule {
  /** File and line of the rule. */
  readonly place: string;
  /** The seat of the rule. */
  readonly seat: string;
  /** The label of the rule. */
  readonly label: string;
  /** Whether a device of a test goes by this rule. */
  readonly hit: boolean;
}

/** `hotseat test`: the tests beside a policy. Needs no running agent. */
export const test: Verb = {
  summary: 'run the tests beside the seat files, and name each rule that no test hits',
  usage: 'test [DIRECTORY] [--pc NAME] [--require-coverage] [--json]',
  options: {
    ...json,
    'require-coverage': { type: 'boolean', help: 'exit 1 if a rule is hit by no test' },
    pc: { type: 'string', help: 'the host name for tests that name no PC (this PC)' },
  },
  examples: [
    { line: 'test', help: 'the policy of this PC' },
    { line: 'test ./policies --require-coverage', help: 'before a commit: no rule without a test' },
  ],
  run: async ({ options, words }: Call): Promise<ExitCode> => {
    const { runTests } = await import('../policy/test-run.js');
    const directory = words[0] ?? defaultPolicies;
    const ran = runTests(directory, String(options['pc'] ?? hostname()));
    const required = options['require-coverage'] === true;
    if (options['json'] === true) console.log(JSON.stringify(forMachines(ran), undefined, 2));
    else if (ran.ok) for (const line of lines(ran, directory)) console.log(printable(line));
    else for (const diagnostic of ran.diagnostics) console.error(printable(formatDiagnostic(diagnostic)));
    return ran.ok && passed(ran, required) ? 0 : 1;
  },
};

type Ran = Extract<TestRun, { ok: true }>;

/** A policy of which nothing is tested has not passed. */
const passed = ({ results, coverage }: Ran, required: boolean): boolean =>
  results.length > 0 &&
  results.every(({ failures }) => failures.length === 0) &&
  (!required || coverage.every(({ hit }) => hit));

const nameOf = ({ test: { place, name, device } }: TestResult): string => `${lineOf(place)} ${name ?? device}`;

function lines({ results, coverage }: Ran, directory: string): string[] {
  if (results.length === 0) return [`no tests: put some into ${directory}/tests (hotseat test --help shows one)`];
  const failed = results.filter(({ failures }) => failures.length > 0).length;
  const hit = coverage.filter((one) => one.hit).length;
  return [
    ...results.flatMap((result) =>
      result.failures.length === 0
        ? [`ok    ${nameOf(result)}: ${result.got}`]
        : [`FAIL  ${nameOf(result)}`, ...result.failures.map((line) => `        ${line}`)],
    ),
    ...coverage
      .filter((one) => !one.hit)
      .map(({ seat, rule }) => `hit by no test: ${lineOf(rule.place)} ${seat} "${rule.label}"`),
    `${results.length - failed} passed, ${failed} failed; rules hit: ${hit} of ${coverage.length}`,
  ];
}

function forMachines(ran: TestRun): TestAnswer {
  if (!ran.ok) return { ok: false, diagnostics: ran.diagnostics };
  const { results, coverage } = ran;
  return {
    ok: passed(ran, false),
    results: results.map(({ test: { place, name, device }, got, failures }) => ({
      place: lineOf(place),
      name,
      device,
      passed: failures.length === 0,
      got,
      failures,
    })),
    coverage: coverage.map(({ seat, rule, hit }) => ({ place: lineOf(rule.place), seat, label: rule.label, hit })),
  };
}
