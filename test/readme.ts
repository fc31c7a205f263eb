// README as a script: its examples in order, and what it says that they print.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Where the sources are, seen from `dist/test`. */
const checkout = fileURLToPath(new URL('../../', import.meta.url));

/** A fenced block. */
export interface Block {
  readonly language: string;
  /** The file that it is the text of, when its fence names one: ```yaml left.yaml */
  readonly file: string | undefined;
  readonly text: string;
  /** Of its first line, 1-based. */
  readonly line: number;
}

/** A command as a user types it, and what is shown below it. */
export interface Step {
  readonly command: string;
  readonly shown: readonly string[];
  readonly line: number;
}

export const readme: string = readFileSync(`${checkout}README.md`, 'utf8');

export function blocksOf(markdown: string): Block[] {
  const found: Block[] = [];
  let open: { readonly language: string; readonly file: string | undefined; readonly from: number } | undefined;
  const lines = markdown.split('\n');
  for (const [index, line] of lines.entries()) {
    const [, language, file] = /^```(\w*)(?: (\S+))?$/.exec(line) ?? [];
    if (language === undefined) continue;
    if (open === undefined) open = { language, file, from: index + 1 };
    else {
      const text = lines.slice(open.from, index).join('\n');
      found.push({ language: open.language, file: open.file, text: `${text}\n`, line: open.from + 1 });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`README.md:${open.from}: a block without an end`);
  return found;
}

/** Text outside of fenced blocks. */
export const proseOf = (markdown: string): string => markdown.replace(/^```[\s\S]*?^```$/gm, '');

/** What stands between backquotes in running text. */
export const spansOf = (markdown: string): string[] =>
  [...proseOf(markdown).matchAll(/`([^`]+)`/g)].map(([, span = '']) => span.replace(/\s+/g, ' '));

/** A `console` block: a line that begins with `$ ` is typed, what follows is shown. */
export function stepsOf({ text, line }: Block): Step[] {
  const steps: { command: string; shown: string[]; line: number }[] = [];
  for (const [index, row] of text.trimEnd().split('\n').entries()) {
    if (row.startsWith('$ ')) steps.push({ command: row.slice(2), shown: [], line: line + index });
    else {
      const step = steps.at(-1);
      if (step === undefined) throw new Error(`README.md:${line + index}: shown before anything is typed`);
      step.shown.push(row);
    }
  }
  return steps;
}

/** What is another one at every run: times, revisions, processes, versions. */
const passing: readonly (readonly [RegExp, string])[] = [
  [/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, '<time>'],
  [/^\d\d:\d\d:\d\d\.\d{3}/g, '<time>'],
  [/\b\d+(\.\d+)? ms +/g, '<duration> '],
  [/\b[0-9a-f]{40}\b/g, '<revision>'],
  [/@[0-9a-f]{12}\b/g, '@<revision>'],
  [/\bpid \d+/g, 'pid <pid>'],
  [/\bLinux \d\S*/g, 'Linux <version>'],
  [/\b(lxc): \d\S*/g, '$1: <version>'],
];

const lasting = (line: string): string =>
  passing.reduce((text, [pattern, name]) => text.replace(pattern, name), line.trimEnd());

/** A line of nothing but this stands for any number of lines. */
const omission = '…';

/** Whether a program said what is shown, but for what passes and what is left out. */
export function isShown(shown: readonly string[], said: string): boolean {
  const wanted = shown.map(lasting);
  const got = said.trimEnd() === '' ? [] : said.trimEnd().split('\n').map(lasting);
  const fits = (at: number, from: number): boolean => {
    const line = wanted[at];
    if (line === undefined) return from === got.length;
    if (line === omission)
      return got
        .slice(from)
        .concat('')
        .some((_, skipped) => fits(at + 1, from + skipped));
    return line === got[from] && fits(at + 1, from + 1);
  };
  return fits(0, 0);
}
