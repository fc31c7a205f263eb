// The page that names a test for each attack names tests that there are.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkout } from './hotseat.js';

const page = readFileSync(join(checkout, 'docs/explanation/attacks-and-tests.md'), 'utf8');
const sourceOf = (name: string): string =>
  readFileSync(join(checkout, 'test', `${name.replace(/^lab\//, 'lab/tests/')}.test.ts`), 'utf8');
const rows = page.split('\n').filter((line) => line.startsWith('| ') && !/^\| (promise|who|against) \|/.test(line));

test('each row names a file of tests, and each of its words begins the name of one', () => {
  assert.ok(rows.length > 40);
  let names = 0;
  for (const row of rows) {
    const cell = row.split('|').at(-2) ?? '';
    const files = [...cell.matchAll(/`((?:unit|field|namespace|lab)\/[\w-]+)`(?:: ([^`]*))?/g)];
    assert.ok(files.length > 0, row);
    for (const [, file = '', words = ''] of files) {
      const titles = [...sourceOf(file).matchAll(/^ *test\(\s*(?:'|`|")(.*)$/gm)].map(([, title = '']) => title);
      for (const begin of words.split(';').map((one) => one.trim())) {
        if (begin === '') continue;
        names += 1;
        assert.ok(
          titles.some((title) => title.startsWith(begin)),
          `${file} has no test that begins with: ${begin}`,
        );
      }
    }
  }
  assert.ok(names > 50, `${names} names`);
});

test.run();
