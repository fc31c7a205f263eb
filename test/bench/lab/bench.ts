// `npm run bench:lab`: what one event costs in the emulated PC, with a real kernel's devices, real udevd and real engines,
// beside what others do there and, with --base, another commit. KVM or not, only ratios mean anything.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { execa } from 'execa';
import { checkout } from '../../lab/driver/paths.js';
import { type Base, baseOf } from '../base.js';
import { factsOf } from '../facts.js';
import { type Options, optionsOf } from '../options.js';
import { progress, type Say } from '../progress.js';
import type { Result } from '../result.js';
import { tableText } from '../table.js';
import type { Job, Outcome } from './measure.js';
import { rows } from './rows.js';

/** A tree has been measured by then, or the lab hangs, ms. */
const limit = 45 * 60_000;

async function measured(tree: string, job: Job, say: Say): Promise<Outcome> {
  say(`${job.column}: in the emulated PC`);
  const directory = mkdtempSync('/var/tmp/hotseat-bench-lab-');
  const file = join(directory, 'rows.json');
  try {
    const program = join(tree, 'dist/test/bench/lab/measure.js');
    const { failed, shortMessage } = await execa(
      process.execPath,
      ['--enable-source-maps', program, JSON.stringify(job), file],
      {
        stdin: 'ignore',
        stdout: process.stderr,
        stderr: 'inherit',
        timeout: limit,
        // Its PC goes with it.
        forceKillAfterDelay: 60_000,
        reject: false,
      },
    );
    if (!existsSync(file)) throw new Error(`nothing was measured: ${shortMessage ?? 'see above'}`);
    const { rows: measuredRows, absent } = JSON.parse(readFileSync(file, 'utf8')) as Outcome;
    if (!failed) return { rows: measuredRows, absent };
    // What was measured before it broke off is worth having.
    const rest = { name: 'rest', what: `${job.column}: what is not above`, reason: 'it broke off, see above' };
    return { rows: measuredRows, absent: [...absent, rest] };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measure(options: Options, base: Base | undefined, say: Say): Promise<Result> {
  const facts = await factsOf(checkout, base?.name, ['qemu-system-x86_64']);
  const own = await measured(checkout, { column: 'own', options }, say);
  const other = base === undefined ? undefined : await measured(base.tree, { column: 'base', options }, say);
  return {
    bench: 'lab',
    facts,
    rows: [...own.rows, ...(other?.rows.filter(({ column }) => column === 'base') ?? [])],
    absent: [...own.absent, ...(other?.absent ?? [])],
  };
}

async function main(): Promise<void> {
  const options = optionsOf('npm run bench:lab', process.argv.slice(2), rows, {
    ...{ events: 20, rounds: 2, bursts: [50] },
    mostAtOnce: 700,
    without: ['seats', 'idle', 'plot', 'profile'],
  });
  if ('help' in options) return console.log(options.help);
  const { say, end } = progress(options.quiet);
  const base = options.base === undefined ? undefined : await baseOf(checkout, options.base, say);
  try {
    const result = await measure(options, base, say);
    end();
    console.log(tableText(result));
    if (options.json === undefined) return;
    mkdirSync(dirname(resolve(options.json)), { recursive: true });
    writeFileSync(options.json, `${JSON.stringify(result, undefined, 1)}\n`);
  } finally {
    await base?.remove();
  }
}

try {
  await main();
} catch (error) {
  console.error(`bench: ${(error as Error).message}`);
  process.exitCode = 1;
}
