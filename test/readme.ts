// The documentation as a script: the examples of its pages in order, and the output that the pages show.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where the sources are, seen from `dist/test`. */
const checkout = fileURLToPath(new URL('../../', import.meta.url));

/** A file of the documentation: its path in the checkout, and its Markdown. */
export interface Page {
  readonly path: string;
  readonly text: string;
}

/** A fenced block. */
export interface Block {
  /** The page's path in the checkout. */
  readonly page: string;
  readonly language: string;
  /** The file that it is the text of, when its fence names one: ```yaml left.yaml */
  readonly file: string | undefined;
  readonly text: string;
  /** Of its first line, 1-based. */
  readonly line: number;
}

/** A command as a user types it, and the text below it. */
export interface Step {
  readonly command: string;
  readonly shown: readonly string[];
  readonly line: number;
}

const pageAt = (path: string): Page => ({ path, text: readFileSync(join(checkout, path), 'utf8') });

/**
 * The pages that a user follows from the first to the last, on one PC: each command is typed once, and finds the
 * results of the commands before it. test/lab/tests/install.test.ts does so.
 */
export const followed: readonly Page[] = [
  'README.md',
  'docs/tutorial.md',
  'docs/howto/share-processors.md',
  'docs/howto/administer.md',
  'docs/howto/share-devices.md',
  'docs/howto/game-controllers.md',
  'docs/howto/desktops.md',
  'docs/howto/kiosk.md',
  'docs/howto/replace-hardware.md',
  'docs/howto/move-a-seat.md',
  'docs/howto/many-pcs.md',
  'docs/howto/upgrade-and-remove.md',
  'docs/howto/get-back-in.md',
  'docs/reference/seat-files.md',
  'docs/reference/service.md',
  'docs/reference/verbs.md',
  'docs/explanation/what-holds.md',
].map(pageAt);

/** Every page that people read: those that are followed, and those that only say something. */
export const allPages: readonly Page[] = [
  ...['README.md', 'ARCHITECTURE.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].map(pageAt),
  ...readdirSync(join(checkout, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => pageAt(`docs/${name}`)),
];

/** Several pages as one text; a paragraph ends where its page ends. */
export const textOf = (pages: readonly Page[]): string => pages.map(({ text }) => text).join('\n\n');

export function blocksOf({ path, text: markdown }: Page): Block[] {
  const found: Block[] = [];
  let open: { readonly language: string; readonly file: string | undefined; readonly from: number } | undefined;
  const lines = markdown.split('\n');
  for (const [index, line] of lines.entries()) {
    const [, language, file] = /^```(\w*)(?: (\S+))?$/.exec(line) ?? [];
    if (language === undefined) continue;
    if (open === undefined) open = { language, file, from: index + 1 };
    else {
      const text = lines.slice(open.from, index).join('\n');
      found.push({ page: path, language: open.language, file: open.file, text: `${text}\n`, line: open.from + 1 });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`${path}:${open.from}: a block without an end`);
  return found;
}

/** Text outside of fenced blocks. */
export const proseOf = (markdown: string): string => markdown.replace(/^```[\s\S]*?^```$/gm, '');

/** Texts between backquotes in running text. */
export const spansOf = (markdown: string): string[] =>
  [...proseOf(markdown).matchAll(/`([^`]+)`/g)].map(([, span = '']) => span.replace(/\s+/g, ' '));

/** Commands of an example, each as it is typed; of a block without answers its lines. */
export const commandsOf = (block: Block): string[] =>
  block.language === 'console' ? stepsOf(block).map(({ command }) => command) : block.text.trimEnd().split('\n');

/** The examples that a reader types, or puts into files. npm runs elsewhere: it starts PCs of its own. */
export const examplesOf = (pages: readonly Page[]): Block[] =>
  pages
    .flatMap(blocksOf)
    .filter(({ language, file }) => file !== undefined || language === 'console' || language === 'sh')
    .filter(({ text }) => !text.startsWith('npm '));

/**
 * Commands and options that the text of pages names, and that no line of `typed` has. Capitals in a command stand for
 * any word, and options may stand between its words. `elsewhere`: commands that other tests try.
 */
export function untyped(pages: readonly Page[], typed: readonly string[], elsewhere: readonly string[]): string[] {
  const isCommand = (span: string) => /^(hotseat|apt|systemctl|journalctl|loginctl|--)(?=[ a-z])\S* ?\w/.test(span);
  return spansOf(textOf(pages)).filter((span) => {
    if (!isCommand(span) || elsewhere.includes(span)) return false;
    const words = span.split(' ').map((word) => (/[A-Z]{3}/.test(word) ? '\\S+' : word.replace(/[.*+?]/g, '\\$&')));
    const pattern = new RegExp(words.join('( -\\S+)* '));
    return !typed.some((line) => pattern.test(line));
  });
}

/** A `console` block: a line that begins with `$ ` is typed, the lines below it are shown. */
export function stepsOf({ page, text, line }: Block): Step[] {
  const steps: { command: string; shown: string[]; line: number }[] = [];
  for (const [index, row] of text.trimEnd().split('\n').entries()) {
    if (row.startsWith('$ ')) steps.push({ command: row.slice(2), shown: [], line: line + index });
    else {
      const step = steps.at(-1);
      if (step === undefined) throw new Error(`${page}:${line + index}: shown before anything is typed`);
      step.shown.push(row);
    }
  }
  return steps;
}

/** Texts that differ at every run: times, revisions, processes, versions. */
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

/** Whether a program printed the shown text, except for texts that differ at every run, and omissions. */
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
