// Pages that say what the code says: made of its tables, or quoting its texts.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { generatedPages } from '../../rules/docs/pages.js';
import { checkout } from './hotseat.js';

const text = (path: string): string => readFileSync(join(checkout, path), 'utf8');

test('the pages that are made from the code are those that it makes now', () => {
  for (const page of generatedPages()) assert.is(text(page.path), page.text, `run: npm run docs (${page.path})`);
});

test('what the page of trouble says that doctor says, its code says', () => {
  const sources = ['agent/doctor', 'agent/engines', 'agent/control'].flatMap((directory) =>
    readdirSync(join(checkout, directory))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => text(join(directory, name)).replaceAll("\\'", "'")),
  );
  const rows = text('docs/trouble.md')
    .split('\n')
    .filter((line) => line.startsWith('| '));
  const quotes = rows.flatMap((row) =>
    [...(row.split('|')[2] ?? '').matchAll(/"([^"]+)"/g)].map(([, quote = '']) => quote),
  );
  assert.ok(quotes.length > 20);
  for (const quote of quotes) {
    const words = quote.split('*NAME*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    const pattern = new RegExp(words.join('(?:\\$\\{[^{}]*\\}|\\w+)'));
    assert.ok(
      sources.some((source) => pattern.test(source)),
      `docs/trouble.md: doctor does not say: ${quote}`,
    );
  }
});

test.run();
