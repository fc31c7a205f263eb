// The floors and walks of ARCHITECTURE.md, held against the source.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkout } from './hotseat.js';

const page = readFileSync(join(checkout, 'ARCHITECTURE.md'), 'utf8');
const sources = readdirSync(join(checkout, 'agent'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
  .map((file) => `agent/${file}`);

/**
 * The imports of each file, and the programs that it starts as a process: files of the agent by their path here,
 * anything else by its name.
 */
const imports = new Map(
  sources.map((file): [string, string[]] => {
    const text = readFileSync(join(checkout, file), 'utf8');
    const names = [...text.matchAll(/(?:\bfrom|\bimport\(|^import|new URL\() ?'([^']+)'/gm)].map(
      ([, name = '']) => name,
    );
    const path = (name: string) => normalize(join(dirname(file), name)).replace(/\.js$/, '.ts');
    return [file, names.map((name) => (name.startsWith('.') ? path(name) : name))];
  }),
);

/** `cli/` for a file in that folder, `main` for a file on its own. */
const roomOf = (file: string): string => {
  const [, room = '', ...rest] = file.split('/');
  return rest.length > 0 ? `${room}/` : room.replace(/\.ts$/, '');
};

const section = (title: string): string => page.split(`## ${title}\n`)[1]?.split('\n## ')[0] ?? '';
const floors = [...section('Floors').matchAll(/^\| `([^`]+)` \|/gm)].map(([, room = '']) => room);
const edges = [...imports].flatMap(([file, names]) =>
  names.filter((name) => name.startsWith('agent/')).map((name) => ({ file, name })),
);

test('every room has a floor, and every floor is a room', () => {
  assert.equal([...floors].sort(), [...new Set(sources.map(roomOf))].sort());
});

test('imports between rooms point downward only', () => {
  const upward = edges.filter(({ file, name }) => floors.indexOf(roomOf(name)) < floors.indexOf(roomOf(file)));
  assert.ok(edges.length > 500);
  assert.equal(
    upward.map(({ file, name }) => `${file} imports ${name}`),
    [],
  );
});

const clocks = /\b(process\.|Date\.now|new Date\(\)|performance\.|setTimeout\(|Math\.random)/;

test('the core is pure, and system calls are made in one room', () => {
  for (const [file, names] of imports) {
    const outside = names.filter((name) => !name.startsWith('agent/'));
    if (roomOf(file) === 'core/') {
      assert.equal(outside, [], file);
      const text = readFileSync(join(checkout, file), 'utf8');
      assert.not.match(text, clocks, file);
    }
    if (roomOf(file) !== 'kernel/') assert.not.ok(outside.includes('koffi'), `${file} makes system calls`);
  }
  assert.ok([...imports.values()].some((names) => names.includes('koffi')));
});

test('the room of the assignments knows, and does nothing', () => {
  const files = [...imports.keys()].filter((file) => roomOf(file) === 'assign/');
  assert.ok(files.length > 1);
  for (const file of files) {
    const text = readFileSync(join(checkout, file), 'utf8');
    // Types of others name what it is told; only what is pure is called.
    const called = [...text.matchAll(/^import (?!type )[^']*'([^']+)'/gm)].map(([, name = '']) => name);
    assert.equal(
      called.filter((name) => !/^(\.\.\/core\/|\.\/|node:path$)/.test(name)),
      [],
      file,
    );
    assert.not.match(text, clocks, file);
  }
});

test('every file that it names is there, and each file of a walk is next to one before it', () => {
  for (const [, file = ''] of page.matchAll(/`((?:agent|test)\/[^`]+\.ts)`/g)) {
    assert.ok(existsSync(join(checkout, file)), file);
  }
  const walks = section('Three walks').split('\n### ').slice(1);
  assert.is(walks.length, 3);
  for (const walk of walks) {
    const files = [...walk.matchAll(/^\d+\. `([^`]+)`/gm)].map(([, file = '']) => file);
    assert.ok(files.length > 5);
    for (const [index, file] of files.entries()) {
      const before = files.slice(0, index);
      const near = (other: string) => imports.get(other)?.includes(file) || imports.get(file)?.includes(other);
      assert.ok(index === 0 || before.some(near), `${file} is next to none of ${before.join(', ')}`);
    }
  }
});

test.run();
