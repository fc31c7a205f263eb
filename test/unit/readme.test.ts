// Facts of the docs that need no PC: names, keys, files. test/lab/tests/install.test.ts follows them.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
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
import { alsoTyped, triedElsewhere, typedInSteps } from '../lab/tests/typed.js';
import {
  allPages,
  blocksOf,
  commandsOf,
  examplesOf,
  followed,
  isShown,
  proseOf,
  spansOf,
  stepsOf,
  textOf,
  untyped,
} from '../readme.js';
import { checkout, hotseat } from './hotseat.js';

const readme = textOf(allPages);
const blocks = allPages.flatMap(blocksOf);
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
  const paths = spans.filter((span) => /^(agent|rules|policies|test)(\/\S*)?$/.test(span));
  assert.ok(paths.length > 10);
  for (const path of paths) assert.ok(existsSync(join(checkout, path)), path);
  const versions = [...readme.matchAll(/hotseat_(\S+?)_amd64\.deb/g)].map(([, version]) => version);
  assert.equal([...new Set(versions)], [`${manifest.version}-1`]);
  assert.ok(readme.includes(`Node ${manifest.engines.node.replace('>=', '')} or newer`));
});

/** The anchors of a page: its headings, as GitHub makes anchors of them. */
const anchorsOf = (path: string): string[] =>
  [...readFileSync(join(checkout, path), 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

test('every link leads to a file, from where its page stands', () => {
  for (const { path, text } of allPages) {
    const links = [...text.matchAll(/\]\(([^)]+)\)/g)].map(([, link = '']) => link);
    for (const link of links.filter((one) => !one.startsWith('https://'))) {
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? path : join(dirname(path), file);
      assert.ok(existsSync(join(checkout, target)), `${path}: ${link}`);
      if (anchor !== undefined) assert.ok(anchorsOf(target).includes(anchor), `${path}: ${link}`);
    }
  }
});

test('whoever begins at README finds every page', () => {
  const [start] = allPages;
  assert.is(start?.path, 'README.md');
  assert.ok((start?.text.split('\n').length ?? 0) < 155, 'README is for the first minute');
  for (const { path } of allPages.slice(1)) assert.ok(start?.text.includes(`](${path})`), path);
});

/** The beginning of each example of the docs, in the order in which a reader types them. */
const order: readonly (readonly [page: string, first: string])[] = [
  ['README.md', `apt install ./dist/hotseat_${manifest.version}-1_amd64.deb`],
  ['README.md', 'left.yaml'],
  ['README.md', "sed 's/left/right/g; s/usb-0:1/usb-0:2/; s/:03.0/:04.0/' left.yaml > right.yaml"],
  ['README.md', 'git commit --quiet -m "Two seats"'],
  ['docs/tutorial.md', 'hotseat doctor'],
  ['docs/tutorial.md', 'left.yaml'],
  ['docs/tutorial.md', 'hotseat check'],
  ['docs/tutorial.md', 'mkdir -p tests/devices'],
  ['docs/tutorial.md', 'tests/left.yaml'],
  ['docs/tutorial.md', 'hotseat test'],
  ['docs/tutorial.md', 'hotseat plan'],
  ['docs/tutorial.md', 'hotseat devices'],
  ['docs/tutorial.md', 'hotseat identify left'],
  ['docs/tutorial.md', 'hotseat attach /dev/input/event2 right --for 1h'],
  ['docs/tutorial.md', 'hotseat watch'],
  ['docs/howto/share-processors.md', 'hotseat explain --seat left'],
  ['docs/howto/administer.md', 'hotseat log --since 1h'],
  ['docs/howto/administer.md', 'useradd --create-home anna'],
  ['docs/howto/administer.md', 'hotseat metrics'],
  ['docs/reference/verbs.md', 'hotseat help'],
];

test('the pages are followed in the order in which each example finds what it needs', () => {
  assert.equal(
    examplesOf(followed).map((block) => [block.page, block.file ?? commandsOf(block)[0]]),
    order,
  );
  // Pages that nobody follows have nothing to type.
  assert.equal(examplesOf(allPages.filter(({ path }) => !followed.some((page) => page.path === path))), []);
});

test('every command that a followed page names is typed by the test that follows it, or tried elsewhere', () => {
  // A block is typed as a whole, and an answer after its command.
  const shown = examplesOf(followed).flatMap((block) => (block.language === 'sh' ? [block.text] : []));
  const { upgrade, ...later } = typedInSteps;
  const typed = [
    ...shown,
    ...steps.map(({ command }) => command),
    ...alsoTyped,
    upgrade('x.deb'),
    ...Object.values(later),
  ];
  assert.equal(untyped(followed, typed, triedElsewhere), []);
  assert.equal(untyped(followed, [], triedElsewhere).includes('hotseat doctor'), true);
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
    const said = blocks[blocks.indexOf(bad) + 1];
    const shown = (said && stepsOf(said).find(({ command }) => command === 'hotseat check'))?.shown ?? [];
    assert.ok(isShown(shown, stderr), stderr);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('every other file that it shows is one that the program reads', () => {
  for (const { page, file, text, line } of blocks.filter(({ language }) => language === 'yaml')) {
    assert.ok(file, `${page}:${line}: a file without a name`);
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
    const ways = [
      ...[taken(seat(`${pair}\n`)), taken(seat(`${lxc}${pair}\n`)), taken(seat(lxc, `    ${pair}\n`))],
      // Beside the outputs of a card.
      taken(seat(lxc, `    ${pair}\n`).replace('kind: mouse', 'connector: DP-1')),
    ];
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
