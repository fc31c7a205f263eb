import { lstatSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Diagnostic } from '../core/policy.js';
import { diffLines } from './diff.js';
import { formatText } from './format.js';
import { readPlain } from './load.js';
import { replaceWhole } from './write.js';

export interface Outcome {
  /** The path of the file. */
  readonly file: string;
  /** Why it cannot be formatted. */
  readonly diagnostics: readonly Diagnostic[];
  /** The lines that change, or with `--check` would change. */
  readonly diff: readonly string[];
}

/** Brings one file into its form; with `check` it only lists the changes. Links are not followed. */
export function formatFile(file: string, check: boolean): Outcome {
  const diagnostics: Diagnostic[] = [];
  const text = readPlain(dirname(file), basename(file), diagnostics);
  const formatted = text === undefined ? { diagnostics: [] } : formatText(basename(file), text);
  if ('diagnostics' in formatted) diagnostics.push(...formatted.diagnostics);
  const named = diagnostics.map(({ place, ...rest }) => ({ ...rest, place: { ...place, file } }));
  if (text === undefined || 'diagnostics' in formatted) return { file, diagnostics: named, diff: [] };
  if (formatted.text !== text && !check) replaceWhole(file, formatted.text, lstatSync(file));
  return { file, diagnostics: named, diff: diffLines(text, formatted.text) };
}
