// Words and turns that a reader whose English is a second language has to read twice: CONTRIBUTING.md, Rules of the house.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkout } from './hotseat.js';

/** Texts for users and for readers of the source. The page of attacks quotes names of tests. */
const places = ['agent', 'rules', 'policies', 'docs', '.'];
/** Sources of which only the comments count: names of tests are for people who know the code. */
const commented = ['test/bench', 'test/field', 'test/lab', 'test/namespace', 'test/runner', 'test/unit'];
/** Not read: bad examples of this test and of another one; and a file of the lab's disk, which a change would make anew. */
const exceptions = [
  'docs/explanation/attacks-and-tests.md',
  'test/unit/plain-english.test.ts',
  'test/unit/docs.test.ts',
  'test/lab/guest/baked/guest.mjs',
];

const filesIn = (directories: readonly string[]): string[] =>
  directories
    .flatMap((directory) =>
      readdirSync(join(checkout, directory), { recursive: directory !== '.', encoding: 'utf8' }).map((name) =>
        join(directory, name),
      ),
    )
    .filter((name) => /\.(ts|md|mjs|py|service|socket|conf|yaml|example)$/.test(name))
    .filter((name) => !exceptions.includes(name) && !name.startsWith('test/unit/corpus'));

/** Old words, and relatives without a head: "whoever opens it" is "a program that opens it". */
const words = /\b(whoever|whomever|whatever|whichever|shall|anew)\b/i;
/** A comment that begins with such a relative: "What the seat has" is "The devices of the seat". */
const beginning = /(\/\*\*|\/\/) (What |One that |Those who )/;

/** The comment in a line of a source; empty when there is none. */
const commentIn = (line: string): string => /^\s*(\/\*\*|\*|\/\/|#) .*$/.exec(line)?.[0] ?? '';

const faults = (text: string, part = (line: string): string => line): string[] =>
  text
    .split('\n')
    .flatMap((line, at) => (words.test(part(line)) || beginning.test(part(line)) ? [`${at + 1}: ${line.trim()}`] : []));

const inFiles = (names: readonly string[], part?: (line: string) => string): string[] =>
  names.flatMap((name) => faults(readFileSync(join(checkout, name), 'utf8'), part).map((fault) => `${name}:${fault}`));

test('texts and comments have no old words and no relatives without a head', () => {
  const files = filesIn(places);
  assert.ok(files.length > 300);
  assert.equal(inFiles(files), []);
  assert.equal(inFiles(filesIn(commented), commentIn), []);
});

test('such a text is found', () => {
  assert.is(faults('/** What the seat has. */\n// whoever opens it\n/** The devices of the seat. */').length, 2);
});

test.run();
