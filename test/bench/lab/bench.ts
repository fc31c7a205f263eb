// `npm run bench:lab`: what one event costs in the emulated PC, with a real kernel's devices, real udevd and real engines,
// beside what others do there and, with --base, another commit. KVM or not, only ratios mean anything.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { checkout } from '../../lab/driver/paths.js';
import type { Base } from '../base.js';
import { factsOf } from '../facts.js';
import { type Options, optionsOf } from '../options.js';
import { program } from '../program.js';
import type { Say } from '../progress.js';
import type { Result } from '../result.js';
import type { Job, Outcome } from './measure.js';
import { rows } from './rows.js';

/** A tree has been measured by then, or the lab hangs, ms. */
const limit = 45 * 60_000;

async function measured(tree: string, job: Job, say: Say): Promise<Outcome> {
  say(`${job.column}: in the emulated PC`);
  const directory = mkdtempSync('/var/tmp/hotseat-bench-lab-');
  const file = join(directory, 'rows.json');
  try {
    const measuring = join(tree, 'dist/test/bench/lab/measure.js');
    const { failed, shortMessage } = await execa(
      process.execPath,
      ['--enable-source-maps', measuring, JSON.stringify(job), file],
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
    // The measurements before it broke off are worth having.
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

await program(
  () =>
    optionsOf('npm run bench:lab', process.argv.slice(2), rows, {
      ...{ events: 20, rounds: 2, bursts: [50] },
      mostAtOnce: 700,
      without: ['seats', 'idle', 'plot', 'profile'],
    }),
  measure,
);
