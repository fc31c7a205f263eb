// V8's form of the program's code is taken where it is good, and is never needed.

import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkout } from './hotseat.js';

const tree = mkdtempSync(join(tmpdir(), 'hotseat-kept-code-'));
const bundle = join(tree, 'dist/hotseat');
for (const part of ['dist/hotseat', 'package.json', 'rules/policies']) {
  cpSync(join(checkout, part), join(tree, part), { recursive: true });
}
symlinkSync(join(checkout, 'node_modules'), join(tree, 'node_modules'));

const node = (...words: readonly string[]) =>
  execaSync('node', words, { cwd: bundle, reject: false, timeout: 30_000, stdin: 'ignore' });
/** How the name of a body's code ends. */
const forNode = `.${process.version}-${process.arch}.code`;
const kept = () => readdirSync(bundle).filter((name) => name.includes('.code'));
/** By a Node with the options that the program's first line names. */
function isTaken(code: string): boolean {
  const body = code.replace(forNode, '');
  const [, options = ''] =
    /^#!\/usr\/bin\/env -S node ?(.*)/.exec(readFileSync(join(bundle, shortOf(nameOf(code))), 'latin1')) ?? [];
  const look = `
    const { readFileSync } = require('node:fs');
    const cachedData = readFileSync(${JSON.stringify(code)});
    const script = new (require('node:vm').Script)(readFileSync(${JSON.stringify(body)}, 'latin1'), { cachedData });
    process.exit(script.cachedDataRejected ? 1 : 0);`;
  return node(...options.split(' ').filter(Boolean), '-e', look).exitCode === 0;
}
/** The short file of a program; that of the quick verbs is main.js. */
const shortOf = (name: string): string => (name === 'verbs' ? 'main.js' : `${name}.js`);
const nameOf = (code: string): string => code.replace(forNode, '').replace(/-[A-Z0-9]{8}\.js$/, '');

const programs = ['helper', 'holder', 'main', 'udev-child', 'verbs'];
const versionLine = /^hotseat \d+\.\d+\.\d+$/;

function isWhole(): void {
  assert.equal(kept().map(nameOf), programs);
  for (const name of kept()) assert.ok(isTaken(name), name);
}

test('the build keeps the code of every program', isWhole);

test('a body has ASCII alone, and knows its parts by their content', () => {
  for (const name of programs) {
    const short = readFileSync(join(bundle, shortOf(name)), 'latin1');
    const body = readdirSync(bundle).find((file) => file.startsWith(`${name}-`) && file.endsWith('.js')) ?? '';
    assert.ok(short.includes(body), `${name} does not name ${body}`);
    assert.not.match(readFileSync(join(bundle, body), 'latin1'), /[^\0-\x7f]/);
  }
});

test('without it, and with code that V8 rejects, a program runs just the same', () => {
  for (const name of kept()) rmSync(join(bundle, name));
  assert.match(node('main.js', '--version').stdout, versionLine);
  for (const name of programs) {
    const body = readdirSync(bundle).find((file) => file.startsWith(`${name}-`) && file.endsWith('.js')) ?? '';
    writeFileSync(join(bundle, body + forNode), 'not of V8');
  }
  assert.match(node('main.js', '--version').stdout, versionLine);
});

test('keep-code makes it again where it is bad, leaves it where it is good, and removes that of former bodies and Nodes', () => {
  writeFileSync(join(bundle, 'main-AAAAAAAA.js.code'), '');
  const [present = ''] = kept();
  writeFileSync(join(bundle, present.replace(process.version, 'v18.0.0')), '');
  const ran = node('keep-code.js');
  assert.is(ran.exitCode, 0, ran.stderr);
  isWhole();
  const before = kept().map((name) => readFileSync(join(bundle, name)));
  const [first = ''] = kept();
  truncateSync(join(bundle, first), 1000);
  assert.is(node('keep-code.js').exitCode, 0);
  isWhole();
  assert.equal(
    kept()
      .slice(1)
      .map((name) => readFileSync(join(bundle, name))),
    before.slice(1),
  );
  assert.match(node('main.js', '--version').stdout, versionLine);
});

test.after(() => rmSync(tree, { recursive: true }));
test.run();
