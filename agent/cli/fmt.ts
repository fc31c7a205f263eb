import { lstatSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { formatDiagnostic } from '../policy/diagnostics.js';
import type { Outcome } from '../policy/format-file.js';
import { json } from './answer.js';
import { printable } from './printable.js';
import { defaultPolicies } from './run.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** Lines of a difference that are shown of one file. */
const shown = 20;

/** `hotseat fmt`: needs no running agent. */
export const fmt: Verb = {
  summary: 'bring seat files, their tests and recorded devices into one form; comments stay',
  usage: 'fmt [FILE...|DIRECTORY] [--check] [--json]',
  options: {
    ...json,
    check: { type: 'boolean', help: 'change nothing; exit 1 if a file is not in that form, and show what differs' },
  },
  examples: [
    { line: 'fmt', help: 'the policy of this PC' },
    { line: 'fmt left.yaml right.yaml', help: 'these files' },
    { line: 'fmt ./policies --check', help: 'for a pre-commit hook: names the files, changes none' },
  ],
  run: async ({ options, words }: Call): Promise<ExitCode> => {
    const files = (words.length > 0 ? words : [defaultPolicies]).flatMap(filesOf);
    if (files.length === 0)
      throw new Error('no file there ends in .yaml: name seat files, or the directory that they are in');
    const check = options['check'] === true;
    // Loaded here, so that no other verb pays for it.
    const { formatFile } = await import('../policy/format-file.js');
    const outcomes = files.map((file) => formatFile(file, check));
    if (options['json'] === true) console.log(JSON.stringify(outcomes, undefined, 2));
    else for (const outcome of outcomes) tell(outcome, check);
    return outcomes.every(({ diagnostics, diff }) => diagnostics.length === 0 && !(check && diff.length > 0)) ? 0 : 1;
  },
};

/** A file is itself; a directory is its seat files, and all that is below `tests`. */
function filesOf(path: string): string[] {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new Error(`there is no ${path}: name seat files, or the directory that they are in`);
  if (!stat.isDirectory()) return [path];
  const below = (directory: string, recursive: boolean): string[] =>
    (readdirSync(directory, { recursive }) as string[])
      .filter((name) => name.endsWith('.yaml') && !basename(name).startsWith('.'))
      .map((name) => join(directory, name));
  const tests = readdirSync(path).includes('tests') ? below(join(path, 'tests'), true) : [];
  return [...below(path, false), ...tests].sort();
}

function tell({ file, diagnostics, diff }: Outcome, check: boolean): void {
  for (const diagnostic of diagnostics) console.error(printable(formatDiagnostic(diagnostic)));
  if (diff.length === 0) return;
  console.log(printable(check ? `${file}: not formatted` : `${file}: formatted`));
  if (!check) return;
  for (const line of diff.slice(0, shown)) console.log(printable(`  ${line}`));
  if (diff.length > shown) console.log(`  … and ${diff.length - shown} lines more`);
}
