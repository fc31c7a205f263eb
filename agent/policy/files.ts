import type { Diagnostic, Policy } from '../core/policy.js';

export type Loaded =
  | { readonly ok: true; readonly policy: Policy; readonly texts: readonly Text[] }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] };

/** A seat file as it was read. */
export interface Text {
  readonly name: string;
  readonly text: string;
}

/** Something wrong with a file as a whole. */
export const problem = (file: string, message: string, remedy: string): Diagnostic => ({
  place: { file, line: 1, column: 1 },
  message,
  remedy,
});

/** Largest seat file, bytes on disk and characters when read. */
export const largest = 256 * 1024;

/** A policy has this many seat files at most. */
export const mostFiles = 200;

/** That there are too many of them; undefined when there are not. */
export const tooMany = (count: number): Diagnostic | undefined =>
  count > mostFiles ? problem('.', `${count} seat files`, `keep at most ${mostFiles}`) : undefined;

/** That a file is too large to be one. */
export const tooLarge = (file: string, size: number, unit: 'bytes' | 'characters' = 'bytes'): Diagnostic =>
  problem(file, `the file has ${size} ${unit}`, `split it: at most ${largest}`);

/** The name if it is that of a seat file, undefined if it is another's, or why it cannot be one. */
export function seatFileName(name: string): string | Diagnostic | undefined {
  if (!name.endsWith('.yaml') || name.startsWith('.')) return undefined;
  if (/^[A-Za-z0-9._-]+$/.test(name)) return name;
  // The name of a file is shown on terminals and in logs: nothing of it passes unquoted.
  const shown = JSON.stringify(name).replace(/[^ -~]/g, '?');
  return problem(shown, 'a name with other characters', 'use letters, digits, ., _ and -');
}

/** The bytes of a file as text, or that they are none. */
export function textOf(name: string, bytes: Uint8Array): string | Diagnostic {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return problem(name, 'is not UTF-8', 'save it as UTF-8');
  }
}
