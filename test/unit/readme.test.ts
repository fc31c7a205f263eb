// What README says and no PC is needed to see: names, keys, files. test/lab/tests/install.test.ts follows it.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { allHelp } from '../../agent/cli/help.js';
import { parse } from '../../agent/cli/parse.js';
import { verbs } from '../../agent/cli/verbs.js';
import { isForAdmins } from '../../agent/control/permission.js';
import { engineNames, kinds } from '../../agent/core/policy.js';
import { formatDiagnostic } from '../../agent/policy/diagnostics.js';
import { compose } from '../../agent/policy/load.js';
import { hostFile, matchKeys } from '../../agent/policy/schema.js';
import { parseTests } from '../../agent/policy/test-file.js';
import { blocksOf, isShown, proseOf, readme, spansOf, stepsOf } from '../readme.js';
import { checkout, hotseat } from './hotseat.js';

const blocks = blocksOf(readme);
const steps = blocks.flatMap((block) => (block.language === 'console' ? stepsOf(block) : []));
const spans = spansOf(readme);
const manifest = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as {
  version: string;
  engines: { node: string };
  scripts: Record<string, string>;
};

/** Command lines without the comment behind them. */
const commands = [
  ...blocks.flatMap(({ language, text }) => (language === 'sh' ? text.trim().split('\n') : [])),
  ...steps.map(({ command }) => command),
  ...spans,
].map((line) => line.replace(/ +#.*$/, ''));

test('every script and file of this repository that it names is there', () => {
  const scripts = [...commands, ...spans].flatMap((line) => /^npm (?:run )?(\S+)$/.exec(line)?.[1] ?? []);
  assert.ok(scripts.includes('lab') && scripts.includes('test') && scripts.includes('deb'));
  for (const script of [...scripts, ...spans.filter((span) => span.startsWith('test:'))]) {
    assert.ok(manifest.scripts[script], `npm run ${script}`);
  }
  const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, path = '']) => path);
  const paths = spans.filter((span) => /^(agent|rules|policies|test)(\/\S*)?$/.test(span));
  assert.ok(links.length > 3 && paths.length > 10);
  for (const path of [...links, ...paths]) assert.ok(existsSync(join(checkout, path)), path);
  const versions = [...readme.matchAll(/hotseat_(\S+?)_amd64\.deb/g)].map(([, version]) => version);
  assert.equal([...new Set(versions)], [`${manifest.version}-1`]);
  assert.ok(readme.includes(`Node ${manifest.engines.node.replace('>=', '')} or newer`));
});

test('every verb that it names exists, and takes what is written behind it', () => {
  const calls = commands.flatMap((line) => /(?:^|-- )hotseat ([a-z].*)$/.exec(line)?.[1] ?? []);
  assert.ok(calls.length > 20);
  for (const line of calls) {
    const [name = '', ...words] = line.split(/\s+/);
    const verb = verbs[name];
    if (name === 'help') continue;
    assert.ok(verb, `hotseat ${line}`);
    assert.type(parse(verb, words), 'object', `hotseat ${line}: ${JSON.stringify(parse(verb, words))}`);
  }
});

test('every option that it names without a verb is one of a verb that the same paragraph names', () => {
  for (const paragraph of proseOf(readme).split(/\n{2,}/)) {
    const here = spansOf(paragraph);
    const named = Object.entries(verbs).filter(([name]) =>
      here.some((span) => span.split(' ').includes(name) || span.endsWith(`main.js ${name}`)),
    );
    const options = new Set(named.flatMap(([, verb]) => Object.keys(verb.options)));
    for (const [, option = ''] of here.flatMap((span) => [...span.matchAll(/(?:^| )--([a-z-]+)/g)])) {
      if (option === 'help' || /^(npm|systemctl|usermod)/.test(paragraph)) continue;
      const anywhere = Object.values(verbs).some((verb) => option in verb.options);
      assert.ok(named.length === 0 ? anywhere : options.has(option), `--${option} in: ${paragraph}`);
    }
  }
});

test('the verbs are all of them, as the program lists them', () => {
  const shown = steps.find(({ command }) => command === 'hotseat help')?.shown;
  assert.equal(shown, allHelp(verbs).split('\n'));
});

test('a checkout says what it would install and remove', async () => {
  const main = spans.find((span) => span.startsWith('node dist/hotseat/main.js '));
  assert.is(main, 'node dist/hotseat/main.js install');
  for (const verb of ['install', 'uninstall']) {
    const { exitCode, stdout } = await hotseat(verb, '--dry-run');
    assert.is(exitCode, 0);
    assert.match(stdout, /\/usr\/local\/bin\/hotseat$/m);
  }
});

test('the seat file is one; of the bad one everything is said as shown', async () => {
  const [good, bad] = blocks.filter(({ file }) => file === 'left.yaml');
  assert.ok(good && bad);
  const loaded = compose([{ name: 'left.yaml', text: good.text }], 'unversioned', 'pc');
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const directory = mkdtempSync(join(tmpdir(), 'hotseat-readme-'));
  try {
    writeFileSync(join(directory, 'left.yaml'), bad.text);
    const { stderr, exitCode } = await hotseat('check', directory);
    assert.is(exitCode, 1);
    const shown = steps.find(({ command, line }) => command === 'hotseat check' && line > bad.line)?.shown ?? [];
    assert.ok(isShown(shown, stderr), stderr);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('every other file that it shows is one that the program reads', () => {
  for (const { file, text, line } of blocks.filter(({ language }) => language === 'yaml')) {
    assert.ok(file, `README.md:${line}: a file without a name`);
    if (!file.startsWith('tests/')) continue;
    const parsed = parseTests(basename(file), text);
    assert.ok(!('diagnostics' in parsed), JSON.stringify(parsed));
  }
});

/** The table below a heading row, as rows of cells. */
function table(heading: string): string[][] {
  const from = readme.indexOf(`| ${heading} |`);
  assert.ok(from >= 0, heading);
  const rows =
    readme
      .slice(from)
      .split(/\n(?!\s*\|)/)[0]
      ?.split('\n')
      .slice(2) ?? [];
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

test('the keys of a match are those that there are, and so are kinds and engines', () => {
  const rows = table('key | looks at');
  const keys = rows.flatMap(([key = '']) => spansOf(key));
  assert.equal([...keys, 'not'].sort(), [...matchKeys].sort());
  assert.equal(spansOf(rows.find(([key]) => key === '`kind`')?.[1] ?? ''), [...kinds]);
  const engines = /`engine` is ([^.]*)\./.exec(readme)?.[1] ?? '';
  assert.equal(spansOf(engines), [...engineNames]);
  const suite = table('engine | cold plug').map(([name = '']) => name.split(',')[0]);
  assert.equal([...new Set(suite)].sort(), [...engineNames].sort());
});

test('every key with a value that it names is taken where it belongs', () => {
  const seat = (more: string, rule = ''): string =>
    `seat: left\n${more}devices:\n  - label: x\n    match: { kind: mouse }\n${rule}`;
  const lxc = 'container: { engine: lxc, name: left }\n';
  const taken = (text: string): string[] => {
    const loaded = compose([{ name: 'left.yaml', text }], 'unversioned', 'pc');
    return loaded.ok ? [] : loaded.diagnostics.map(formatDiagnostic);
  };
  const pairs = spans.filter((span) => /^[a-z]+: \S/.test(span));
  assert.ok(pairs.length >= 6);
  for (const pair of pairs) {
    const [key = '', value] = pair.split(': ');
    const ways = [taken(seat(`${pair}\n`)), taken(seat(`${lxc}${pair}\n`)), taken(seat(lxc, `    ${pair}\n`))];
    assert.ok(ways.some((faults) => faults.length === 0) || hostFile.safeParse({ [key]: value }).success, pair);
  }
  for (const key of ['owner', 'group', 'mode']) {
    assert.ok(spans.includes(key));
    assert.equal(taken(seat(lxc, `    ${key}: "0660"\n`)), []);
  }
});

test('what is for admins is what it says', () => {
  const said = spansOf(/\. ([^.]*) are for root and for members/.exec(readme)?.[1] ?? '');
  const asked = [
    'status',
    'reload',
    'confirm',
    'watch',
    'devices',
    'metrics',
    'attach',
    'detach',
    'explain',
    'record',
    'plan',
    'wait',
  ] as const;
  assert.equal([...said].sort(), [...asked.filter(isForAdmins), 'log'].sort());
});

test('a line that is not what was said is noticed', () => {
  const said = 'policy 6fb8d1cda8f9d9b8ab8ab5ba9a5d9bd3a1bf0f1c is active\none\ntwo\nthree\n';
  const fits = (...shown: string[]) => isShown(shown, said);
  assert.ok(fits(`policy ${'0'.repeat(40)} is active`, '…'));
  assert.ok(fits('…', 'one', '…', 'three'));
  assert.ok(fits('…', 'two', 'three', '…'));
  assert.not.ok(fits('…', 'one', 'three'));
  assert.not.ok(fits('policy is active', '…'));
  assert.not.ok(fits('…', 'two'));
  assert.not.ok(fits('…', 'three', 'two', '…'));
});

test.run();
