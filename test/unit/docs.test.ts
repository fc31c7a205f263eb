// Pages that say what the code says: made of its tables, or quoting its texts.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fieldsIn } from '../../rules/docs/declarations.js';
import { generatedPages } from '../../rules/docs/pages.js';
import { checkout } from './hotseat.js';

const text = (path: string): string => readFileSync(join(checkout, path), 'utf8');

test('the pages that are made from the code are those that it makes now', () => {
  for (const page of generatedPages()) assert.is(text(page.path), page.text, `run: npm run docs (${page.path})`);
});

test('a table of a page that is made from the code says something of each field and each code', () => {
  for (const { path, text: page } of generatedPages()) {
    const empty = page.split('\n').filter((line) => /^\| `/.test(line) && /\|\s*\|\s*$/.test(line));
    assert.equal(empty, [], `${path}: give each field a comment in the source`);
  }
});

test('fields of a type are read as the compiler reads them', () => {
  const fields = fieldsIn(
    "/** What it is;\n * more. */ readonly a: string; b?: readonly 'x;'[]; readonly c: { readonly d: number; }[] | undefined;",
    'file.ts',
  );
  assert.equal(
    fields.map(({ name, type, optional, meaning }) => [name, type, optional, meaning]),
    [
      ['a', 'string', false, 'What it is; more.'],
      ['b', "'x;'[]", true, ''],
      ['c', '{ d: number; }[]', true, ''],
    ],
  );
  assert.throws(() => fieldsIn('something else', 'file.ts'), /no field/);
});

test('the containers of the page that prepares a PC are those of the lab', () => {
  const lab = ['config', 'xorg.conf', 'xorg.service', 'term.service'].map((name) =>
    text(`test/lab/guest/${name === 'config' ? 'containers/left' : 'seat'}/${name}`),
  );
  const blocks = text('docs/howto/prepare-a-pc.md')
    .split('\n```')
    .filter((block) => block.startsWith('ini\n'))
    .map((block) => block.split('\n').slice(1));
  assert.is(blocks.length, lab.length);
  for (const [at, lines] of blocks.entries()) {
    const file = (lab[at] ?? '').replace('@CARD@', 'card1').split('\n');
    // The root of the lab's container has a layer below it, and its terminal has a colour and keeps what is typed.
    const isOwn = (line: string): boolean =>
      line.startsWith('lxc.rootfs.path') || file.some((one) => one.startsWith(`${line} `));
    assert.equal(
      lines.filter((line) => !file.includes(line) && !isOwn(line)),
      [],
    );
  }
});

test('what the page of kiosks shows is what the lab runs', () => {
  const lab = text('test/lab/tests/sessions.test.ts');
  // What a template holds in its place is put together there.
  const parts = text('docs/howto/kiosk.md')
    .split('\n```')
    .filter((block) => block.startsWith('ini\n'))
    .flatMap((block) => block.split('\n').slice(1))
    .flatMap((line) => (line.startsWith('Environment=') ? line.slice('Environment='.length).split(' ') : [line]))
    .map((part) => part.replace(/^ExecStart=/, ''));
  assert.ok(parts.length > 10);
  for (const part of parts) assert.ok(lab.includes(part), `docs/howto/kiosk.md: the lab has no ${part}`);
});

test('what the page of trouble says that doctor says, its code says', () => {
  const sources = ['agent/doctor', 'agent/engines', 'agent/control', 'agent/seat', 'agent/host'].flatMap((directory) =>
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
  const [, ...symptoms] = text('docs/trouble.md').split('\n## ');
  assert.ok(symptoms.length >= 9);
  for (const symptom of symptoms)
    assert.match(symptom, /^.*\n[\s\S]*\| "/, 'doctor has something to say of each symptom');
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
