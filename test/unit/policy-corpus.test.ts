import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { z } from 'zod';
import type { Diagnostic } from '../../agent/core/policy.js';
import { formatDiagnostic } from '../../agent/policy/diagnostics.js';
import { textOf } from '../../agent/policy/files.js';
import { parseFixture } from '../../agent/policy/fixture.js';
import { formatText } from '../../agent/policy/format.js';
import { type Definition, definitions, jsonSchema } from '../../agent/policy/json-schema.js';
import { parseHost, parseSeat } from '../../agent/policy/parse.js';
import { parseTests } from '../../agent/policy/test-file.js';
import { runTests } from '../../agent/policy/test-run.js';
import { checkout } from './hotseat.js';

/**
 * Files that are good, and files that are bad with all messages about each beside it (`x.yaml`, `x.txt`; a directory is
 * a whole policy). After a change of the words, HOTSEAT_UPDATE=1 writes them again; read what it wrote.
 */
const corpus = join(checkout, 'test/unit/corpus');
const update = process.env['HOTSEAT_UPDATE'] === '1';

/** The first word of a name says the kind of file; most are seat files. */
const kindOf = (name: string): Definition => {
  const word = basename(name, '.yaml').split('-')[0] ?? '';
  return word !== 'seat' && Object.hasOwn(definitions, word) ? (word as Definition) : 'seat';
};

const parsers: Readonly<Record<Definition, (file: string, text: string) => object>> = {
  seat: parseSeat,
  host: parseHost,
  tests: parseTests,
  device: parseFixture,
};

function faults(path: string, name: string): readonly Diagnostic[] {
  if (statSync(path).isDirectory()) return policyFaults(path);
  const text = textOf(name, readFileSync(path));
  if (typeof text !== 'string') return [text];
  const parsed = parsers[kindOf(name)](name, text);
  return 'diagnostics' in parsed ? (parsed.diagnostics as Diagnostic[]) : [];
}

function policyFaults(path: string): readonly Diagnostic[] {
  const ran = runTests(path, 'pc');
  return ran.ok ? [] : ran.diagnostics;
}

/** Paths of this machine are no part of the expected text. */
const words = (path: string, diagnostics: readonly Diagnostic[]): string =>
  diagnostics.map((one) => `${formatDiagnostic(one).replaceAll(path, '.')}\n`).join('');

const names = (kind: 'good' | 'bad') => readdirSync(join(corpus, kind)).filter((name) => !name.endsWith('.txt'));

for (const name of names('good')) {
  test(`good/${name}`, () => {
    const path = join(corpus, 'good', name);
    assert.is(words(path, faults(path, name)), '');
    const text = readFileSync(path, 'utf8');
    const formatted = formatText(kindOf(name) === 'host' ? 'host.yaml' : name, text);
    assert.ok('text' in formatted);
    const schema = z.fromJSONSchema(jsonSchema(kindOf(name)) as Parameters<typeof z.fromJSONSchema>[0]);
    for (const one of [text, formatted.text]) {
      const { error } = schema.safeParse(parse(one));
      assert.is(error, undefined, 'an editor says nothing of it');
    }
  });
}

for (const name of names('bad')) {
  test(`bad/${name}`, () => {
    const path = join(corpus, 'bad', name);
    const said = words(path, faults(path, name));
    const beside = path.replace(/(\.yaml)?$/, '.txt');
    if (update) writeFileSync(beside, said);
    assert.is.not(said, '', 'it is refused');
    assert.is(said, readFileSync(beside, 'utf8'));
  });
}

test('what is no file to be kept: a directory that is not there, and a file too large', () => {
  const none = join(corpus, 'none');
  assert.match(words(none, policyFaults(none)), /^\.:1:1: ENOENT: .*: make the directory, or name another$/m);
  const large = parseSeat('large.yaml', `# ${'x'.repeat(300_000)}`);
  assert.ok('diagnostics' in large);
  assert.is(
    words(corpus, large.diagnostics),
    'large.yaml:1:1: the file has 300002 characters: split it: at most 262144\n',
  );
});

test('a link is not followed, wherever it leads', () => {
  const directory = mkdtempSync(join(tmpdir(), 'hotseat-link-'));
  try {
    writeFileSync(join(directory, 'a.yaml'), 'seat: left\ncontainer: { engine: lxc, name: left }\ndevices: []\n');
    symlinkSync('a.yaml', join(directory, 'b.yaml'));
    const said = 'b.yaml:1:1: is a link: put the file itself here: links are not followed\n';
    assert.is(words(directory, policyFaults(directory)), said);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('there are enough of them', () => {
  assert.ok(names('bad').length >= 40);
  assert.ok(names('good').length >= 10);
});

test('each place is in the file, and each line says what to do', () => {
  for (const name of names('bad')) {
    const path = join(corpus, 'bad', name);
    if (statSync(path).isDirectory()) continue;
    const lines = readFileSync(path, 'utf8').split('\n');
    for (const { place, message, remedy } of faults(path, name)) {
      assert.ok(place.line <= lines.length && place.column <= (lines[place.line - 1]?.length ?? 0) + 1, name);
      assert.ok(message !== '' && remedy !== '', name);
    }
  }
});

test.run();
