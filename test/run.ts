// Runs the tests, layer by layer, and counts. Its last line is `N passed, N failed`, and `, N skipped` where any were.
//
// Usage: run.js [unit] [field] [namespace] [lab] [part of a file's name ...] [--note-times]

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { execa } from 'execa';
import type { Outcome, TestFile } from './runner/file.js';
import { type Layer, labEnvironment, layers } from './runner/layers.js';
import { timesText } from './runner/report.js';
import { type Budget, runAgain, runFiles } from './runner/run-files.js';

/** Everything has ended by then, also when files hang: CI gives a run 90 minutes. */
const wholeRunMs = 80 * 60_000;

/**
 * The system's programs first, whatever somebody's PATH begins with: a wrapper around another python3 takes seven times as long as
 * Debian's, and tests start it hundreds of times.
 */
process.env['PATH'] = [dirname(process.execPath), '/usr/sbin:/usr/bin:/sbin:/bin', process.env['PATH']].join(':');

const here = import.meta.dirname;
/** How many seconds each file usually takes, on two cores without KVM: long files come first, and a hang is known. */
const timesFile = resolve(here, '../../test/runner/usual-times.json');
const usual = JSON.parse(readFileSync(timesFile, 'utf8')) as Record<string, number>;

const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const wanted = layers.filter(({ name }) => words.includes(name));
const parts = words.filter((word) => !layers.some(({ name }) => name === word));
const budget: Budget = { end: Date.now() + wholeRunMs };

/** The files of a layer that were asked for, those that take longest first. */
function filesOf(layer: Layer): TestFile[] {
  const directory = join(here, layer.directory);
  const names = readdirSync(directory).flatMap((file) =>
    file.endsWith('.test.js') ? [basename(file, '.test.js')] : [],
  );
  return names
    .filter((name) => parts.length === 0 || parts.some((part) => name.includes(part)))
    .sort()
    .map((file) => {
      const name = `${layer.name}/${file}`;
      const seconds = usual[name];
      const limitMs = seconds === undefined ? layer.limitMs : Math.max(layer.limitMs / 2, seconds * 3000);
      return {
        ...{ name, path: join(directory, `${file}.test.js`), limitMs },
        isPatient: layer.apart?.includes(file) === true,
        seconds: seconds ?? Number.POSITIVE_INFINITY,
      };
    })
    .sort((a, b) => b.seconds - a.seconds);
}

/** Makes the lab's disk (`disk`), or the states from which its tests start (`states`); whether that went well. */
async function makeReady(what: 'disk' | 'states', niceness: number): Promise<boolean> {
  const program = ['node', '--enable-source-maps', join(here, 'lab/driver/make-ready.js'), what];
  const made = await execa('nice', ['-n', String(niceness), ...program], {
    reject: false,
    stdin: 'ignore',
    stdout: 'inherit',
    stderr: 'inherit',
    env: labEnvironment,
    timeout: 30 * 60_000,
  });
  return made.exitCode === 0;
}

const chosen = (wanted.length > 0 ? wanted : layers).map((layer) => ({ layer, files: filesOf(layer) }));
const hasLab = chosen.some(({ layer, files }) => layer.name === 'lab' && files.length > 0);
/**
 * The disk is made before everything else: packages that are unpacked beside tests make these three to six times slower, and take
 * three times as long themselves.
 */
const hasDisk = !hasLab || (await makeReady('disk', 0));
/** Made beside the first layer that leaves a processor free, or right before the lab. A run of parts needs few of them. */
let states: Promise<boolean> | undefined;

const outcomes: Outcome[] = [];
const flaky: string[] = [];
const seconds = new Map<Layer, number>();
let failed = 0;
for (const { layer, files } of chosen) {
  if (files.length === 0) continue;
  if (layer.name === 'lab' || layer.atOnce < availableParallelism())
    states ??= hasDisk && hasLab && parts.length === 0 ? makeReady('states', 19) : Promise.resolve(hasDisk);
  if (layer.name === 'lab' && !(await states)) {
    console.error('FAIL the lab could not be made ready: none of its files ran');
    failed += files.length;
    continue;
  }
  const started = Date.now();
  const groups = [files.filter(({ isPatient }) => isPatient !== true), files.filter(({ isPatient }) => isPatient)];
  const these = (await Promise.all(groups.map((group) => runFiles(group, layer.atOnce, budget, console.log)))).flat();
  flaky.push(...(await runAgain(these, budget, console.log)));
  outcomes.push(...these);
  seconds.set(layer, (Date.now() - started) / 1000);
}
if (outcomes.length + failed === 0) {
  console.error('no test file matches');
  failed += 1;
}

console.log(
  timesText(
    [...seconds].map(([{ name, atOnce }, took]) => ({ name, atOnce, took })),
    outcomes,
  ),
);
for (const { file, wrong } of outcomes) if (wrong !== undefined) console.log(`FAIL ${file.name}: ${wrong}`);
for (const name of flaky) console.log(`FLAKY ${name}: it failed, and passed when it was run again`);
if (process.argv.includes('--note-times')) {
  for (const { file, seconds: took } of outcomes) usual[file.name] = Math.ceil(took);
  const sorted = Object.fromEntries(Object.entries(usual).sort(([a], [b]) => a.localeCompare(b)));
  writeFileSync(timesFile, `${JSON.stringify(sorted, undefined, 2)}\n`);
}

const sum = (of: (outcome: Outcome) => number): number => outcomes.reduce((total, outcome) => total + of(outcome), 0);
failed += sum((outcome) => outcome.failed);
const skipped = sum((outcome) => outcome.skipped);
console.log(
  `\n${sum((outcome) => outcome.passed)} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`,
);
process.exitCode = failed > 0 ? 1 : 0;
