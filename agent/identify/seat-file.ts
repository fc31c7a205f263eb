import { lstatSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { decider } from '../core/decide.js';
import type { Unit } from '../core/device.js';
import { type Diagnostic, lineOf } from '../core/policy.js';
import { claimsOf } from '../core/verdict.js';
import { appendRule } from '../policy/append-rule.js';
import { formatDiagnostic } from '../policy/diagnostics.js';
import type { Text } from '../policy/files.js';
import { compose, loadDirectory } from '../policy/load.js';
import { commitFile, isClean } from '../policy/work-tree.js';
import { replaceWhole } from '../policy/write.js';
import type { Proposal } from './proposal.js';

/** The file of a seat, in a directory of seat files that are all good. */
export interface SeatFile {
  readonly directory: string;
  readonly seat: string;
  readonly file: string;
  /** All seat files of the directory: a new rule is held against them. */
  readonly texts: readonly Text[];
}

const fail = (head: string, diagnostics: readonly Diagnostic[]): never => {
  throw new Error([head, ...diagnostics.map(formatDiagnostic)].join('\n'));
};

/** Finds a seat's file. @throws when the policy has errors, or no such seat */
export function seatFileOf(directory: string, seat: string): SeatFile {
  const loaded = loadDirectory(directory);
  if (!loaded.ok) return fail('the policy has errors:', loaded.diagnostics);
  const found = loaded.policy.seats.find((one) => one.seat === seat);
  if (found !== undefined) return { directory, seat, file: found.file, texts: loaded.texts };
  const names = loaded.policy.seats.map((one) => one.seat).join(', ') || 'none';
  throw new Error(`no seat ${JSON.stringify(seat)} in ${directory}; there are: ${names}`);
}

/**
 * Writes a rule into a seat's file, and commits it where that is in git; returns whether it did. Nothing is written
 * unless the policy is a good one with it and gives the device to the seat. @throws in words that name the obstacle
 */
export async function writeRule(
  { directory, seat, file, texts }: SeatFile,
  unit: Unit,
  { label, match, by }: Proposal,
): Promise<boolean> {
  const text = texts.find(({ name }) => name === file)?.text ?? '';
  const longer = appendRule(file, text, { label, match });
  if ('diagnostics' in longer) return fail('the rule cannot be added:', longer.diagnostics);
  const after = texts.map((one) => (one.name === file ? { name: file, text: longer.text } : one));
  const loaded = compose(after, 'proposed', hostname());
  if (!loaded.ok) return fail('nothing is written, the policy would have errors:', loaded.diagnostics);
  const verdict = decider(loaded.policy)(unit);
  if (verdict.kind !== 'seat' || !verdict.claims.some((claim) => claim.seat === seat)) {
    const others = claimsOf(verdict).filter((claim) => claim.seat !== seat);
    const places = others.map(({ rule }) => lineOf(rule.place)).join(', ') || 'another rule';
    throw new Error(`nothing is written: ${places} wants it as well; change that first`);
  }
  const inGit = await isClean(directory, file);
  const path = join(directory, file);
  replaceWhole(path, longer.text, lstatSync(path));
  if (inGit) await commitFile(directory, file, `${seat} gets ${label}, found by ${by}`);
  return inGit;
}
