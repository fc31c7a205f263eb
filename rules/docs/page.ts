// The common parts of all generated pages.

import { resolve } from 'node:path';
import { Declarations } from './declarations.js';

/** A page: its path in the checkout, and its Markdown. */
export interface GeneratedPage {
  readonly path: string;
  readonly text: string;
}

const made = '<!-- Made from the code. Do not edit: npm run docs writes it. -->';

export const page = (title: string, ...lines: readonly string[]): string =>
  [made, '', `# ${title}`, '', ...lines, ''].join('\n');

export const fenced = (language: string, text: string): readonly string[] => [`\`\`\`${language}`, text, '```'];

/** A text for a cell of a table: a bar would end it. */
export const cell = (text: string): string => text.replaceAll('|', '\\|');

/** The source of this checkout; this file runs in `dist/rules/docs`. */
export const declarations = new Declarations(resolve(import.meta.dirname, '../../..'));

/** A declaration that has to be there. */
export function declared(name: string, file: string): NonNullable<ReturnType<Declarations['find']>> {
  const found = declarations.find(name, file);
  if (found === undefined) throw new Error(`${file} declares no ${name}`);
  return found;
}

/** Types that other pages describe. */
export const elsewhere: Readonly<Record<string, string>> = {
  RefusalCode: '[code](codes.md)',
  Fixture: '[recorded device](../../policies/REFERENCE.md#recorded-devices)',
};
