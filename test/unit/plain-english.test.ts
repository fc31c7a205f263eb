// Words and turns that a reader whose English is a second language has to read twice: CONTRIBUTING.md, Rules of the house.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkout } from './hotseat.js';

/** Texts for users and for readers of the source. The page of attacks quotes names of tests. */
const files = ['agent', 'rules', 'policies', 'docs', '.']
  .flatMap((directory) =>
    readdirSync(join(checkout, directory), { recursive: directory !== '.', encoding: 'utf8' }).map((name) =>
      join(directory, name),
    ),
  )
  .filter((name) => /\.(ts|md|service|socket|conf|yaml|example)$/.test(name))
  .filter((name) => name !== 'docs/explanation/attacks-and-tests.md');

/** Old words, and relatives without a head: "whoever opens it" is "a program that opens it". */
const words = /\b(whoever|whomever|whatever|whichever|shall|anew)\b/i;
/** A comment that begins with such a relative: "What the seat has" is "The devices of the seat". */
const beginning = /(\/\*\*|\/\/) (What |One that |Those who )/;

const faults = (text: string): string[] =>
  text
    .split('\n')
    .flatMap((line, at) => (words.test(line) || beginning.test(line) ? [`${at + 1}: ${line.trim()}`] : []));

test('texts and comments have no old words and no relatives without a head', () => {
  assert.ok(files.length > 300);
  const found = files.flatMap((name) =>
    faults(readFileSync(join(checkout, name), 'utf8')).map((fault) => `${name}:${fault}`),
  );
  assert.equal(found, []);
});

test('such a text is found', () => {
  assert.is(faults('/** What the seat has. */\n// whoever opens it\n/** The devices of the seat. */').length, 2);
});

test.run();
