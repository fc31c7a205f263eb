import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execaSync } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { completionOf } from '../../agent/cli/completion.js';
import { allHelp, flag, verbHelp } from '../../agent/cli/help.js';
import { bad, render } from '../../agent/cli/line.js';
import { manPage } from '../../agent/cli/man.js';
import { parse } from '../../agent/cli/parse.js';
import { verbs } from '../../agent/cli/verbs.js';
import { refusals } from '../../agent/core/refusal.js';
import { checkout, hotseat } from './hotseat.js';

const entries = Object.entries(verbs);
const date = new Date('2026-01-02');
const page = manPage(verbs, date);
const has = (program: string): boolean => ['/usr/bin', '/bin'].some((dir) => existsSync(`${dir}/${program}`));
/** A single word, so that `--json` is not found in `--json-lines`. */
const names = (text: string, word: string): boolean =>
  new RegExp(`(^|[^\\w-])${word.replaceAll('\\', '\\\\')}($|[^\\w-])`, 'm').test(text);

for (const [name, verb] of entries) {
  test(`${name}: summary, usage, and examples that are what they say`, () => {
    assert.match(verb.summary, /^[^A-Z].*[^.]$/);
    assert.ok(verb.usage === name || verb.usage.startsWith(`${name} `), verb.usage);
    assert.ok(verb.examples.length > 0);
    for (const { line, help } of verb.examples) {
      // Words behind a pipe are another program's.
      const [first, ...words] = (line.split('|')[0] ?? '').trim().split(/\s+/);
      assert.is(first, name);
      assert.type(parse(verb, words), 'object', `${line}: ${JSON.stringify(parse(verb, words))}`);
      assert.ok(help.length > 0);
      assert.ok(verbHelp(verb).includes(`hotseat ${line}`));
      const [word] = words.filter((text) => !text.startsWith('-'));
      if (verb.choices !== undefined) assert.ok(verb.choices.includes(word ?? ''), `${line} is not one of its choices`);
    }
    assert.ok(names(allHelp(verbs), name));
  });

  test(`${name}: every option is in its usage, the page and each shell's completion`, () => {
    const start = page.indexOf(`.SS ${name}\n`);
    assert.ok(start > 0);
    const end = page.indexOf('\n.S', start);
    for (const [key, option] of Object.entries(verb.options)) {
      assert.ok(names(verb.usage, `--${key}`), `--${key} is not in its usage`);
      assert.ok(page.slice(start, end).includes(`.B ${flag(key, option).replaceAll('-', '\\-')}\n`), `--${key}`);
      for (const shell of ['bash', 'zsh']) assert.ok(names(completionOf(shell, verbs) ?? '', `--${key}`), shell);
      assert.ok(completionOf('fish', verbs)?.includes(`from ${name}' -l ${key}`));
    }
  });
}

test('words that are none, options that are none and values that are missing are misuse', () => {
  const verb = { options: { ref: { type: 'string', help: '' } } } as const;
  assert.type(parse(verb, ['--none']), 'string');
  assert.type(parse(verb, ['--ref']), 'string');
  assert.equal(parse(verb, ['--ref', 'x', 'word', '--help']), {
    options: Object.assign(Object.create(null), { ref: 'x', help: true }),
    words: ['word'],
  });
});

test('bash completes verbs, options and choices', () => {
  const complete = (...words: string[]): string[] =>
    execaSync('bash', [
      '--norc',
      '-c',
      `${completionOf('bash', verbs)}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hotseat; printf '%s\\n' "\${COMPREPLY[@]}"`,
      'bash',
      'hotseat',
      ...words,
    ]).stdout.split('\n');
  assert.equal(complete('sta'), ['status']);
  assert.equal(complete('').sort(), Object.keys(verbs).sort());
  assert.equal(complete('reload', '--f'), ['--force']);
  assert.equal(complete('consoles', 'r'), ['restore']);
  assert.equal(complete('no-such-verb', ''), ['']);
});

test('the other shells read theirs', () => {
  for (const shell of ['zsh', 'fish'].filter(has)) {
    const file = join(mkdtempSync(join(tmpdir(), 'hotseat-completion-')), 'hotseat');
    writeFileSync(file, completionOf(shell, verbs) ?? '');
    execaSync(shell, ['-n', file]);
    rmSync(dirname(file), { recursive: true });
  }
  assert.is(completionOf('constructor', verbs), undefined);
});

test('--version says which version this is', async () => {
  const { version } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { version: string };
  for (const word of ['--version', '-V']) {
    const { stdout, exitCode } = await hotseat(word);
    assert.is(stdout, `hotseat ${version}`);
    assert.is(exitCode, 0);
  }
});

test('every code of a refusal is in help and in the page, with its remedy', async () => {
  const { stdout, exitCode } = await hotseat('help', 'codes');
  assert.is(exitCode, 0);
  for (const [code, { cause, remedy }] of Object.entries(refusals)) {
    assert.ok(stdout.includes(`${code}\n    ${cause}\n    remedy: ${remedy}`), code);
    assert.ok(page.includes(`.B ${code.replaceAll('-', '\\-')}\n`), code);
  }
});

test('the page is one that man formats without a warning', () => {
  assert.match(page, /^\.TH HOTSEAT 8 2026-01-02 /);
  assert.not.match(page, /^(?!\.)[.'](?!\w{2}\b)/m);
  if (has('man')) {
    const { stderr } = execaSync('man', ['--warnings', '-E', 'UTF-8', '-P', 'cat', '-l', '-'], { input: page });
    assert.is(stderr, '');
  }
  if (has('mandoc')) assert.is(execaSync('mandoc', ['-Tlint', '-Wall'], { input: page, reject: false }).stdout, '');
});

test('colours are for words of ours, and no escape of a device gets through', () => {
  const line = ['\u001b[31mevil', bad('conflict')];
  assert.is(render(line, false), '\\u{1b}[31mevilconflict');
  assert.is(render(line, true), '\\u{1b}[31mevil\u001b[31mconflict\u001b[39m');
});

test.run();
