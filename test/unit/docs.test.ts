// Pages that agree with the code: made of its tables, or quoting its texts.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from '../../agent/cli/parse.js';
import type { Verb } from '../../agent/cli/verb.js';
import { verbs } from '../../agent/cli/verbs.js';
import { makeRepository } from '../../agent/install/repository.js';
import { loadCommit, resolveCommit } from '../../agent/policy/git.js';
import { compose } from '../../agent/policy/load.js';
import { fieldsIn } from '../../rules/docs/declarations.js';
import { generatedPages } from '../../rules/docs/pages.js';
import { recipe } from '../lab/driver/recipe.js';
import { allPages, blocksOf } from '../readme.js';
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
    // The root of the lab's container has a layer below it, and its terminal has a colour and keeps typed lines.
    const isOwn = (line: string): boolean =>
      line.startsWith('lxc.rootfs.path') || file.some((one) => one.startsWith(`${line} `));
    assert.equal(
      lines.filter((line) => !file.includes(line) && !isOwn(line)),
      [],
    );
  }
});

test('the packages and masks of the page that prepares a PC are those of the lab', () => {
  const page = text('docs/howto/prepare-a-pc.md');
  const packages = /--include=(\S+)/.exec(page)?.[1]?.split(',') ?? [];
  assert.ok(packages.length > 5);
  const inAll = (name: string) => Object.values(recipe.seats).every(({ packages }) => packages.includes(name));
  for (const name of packages) assert.ok(inAll(name), `the lab's seats have no ${name}`);
  const masks = / mask (.*)$/m.exec(page)?.[1]?.split(' ') ?? [];
  assert.ok(masks.length > 3);
  for (const unit of masks)
    assert.ok(
      recipe.seatMasks.some((one) => one === unit),
      `the lab does not mask ${unit}`,
    );
  assert.ok(page.includes(` ${recipe.suite} /var/lib/lxc/left/rootfs`), 'the release of Debian');
});

/** Blocks of a page that are no examples of the test that follows the pages. */
const textBlocks = (path: string): string[] =>
  blocksOf({ path, text: text(path) }).flatMap((block) => (block.language === 'text' ? [block.text] : []));

test('the commands of the page that prepares a PC do what it says, but for those that need a network', () => {
  const path = 'docs/howto/prepare-a-pc.md';
  const scratch = mkdtempSync(join(tmpdir(), 'hotseat-prepare-'));
  const root = join(scratch, 'rootfs');
  try {
    const units = join(root, 'etc/systemd/system');
    mkdirSync(units, { recursive: true });
    const shown = blocksOf({ path, text: text(path) }).filter(({ language }) => language === 'ini');
    for (const name of ['xorg', 'term']) {
      const unit = shown.find(({ text: block }) => block.includes(`bin/${name === 'term' ? 'xterm' : 'Xorg'} `));
      writeFileSync(join(units, `${name}.service`), unit?.text ?? '');
    }
    const commands = textBlocks(path)
      .flatMap((block) => block.trim().split('\n'))
      .filter((line) => !/^(apt|git|cd|npm|mmdebstrap) /.test(line));
    assert.is(commands.length, 4);
    for (const command of commands) {
      execaSync('bash', ['-ec', command.replaceAll('/var/lib/lxc/left', scratch)], { stderr: 'ignore' });
    }
    assert.is(readFileSync(join(root, 'etc/hostname'), 'utf8'), 'left\n');
    assert.is(readlinkSync(join(units, 'systemd-udevd.service')), '/dev/null');
    assert.is(readlinkSync(join(units, 'getty@.service')), '/dev/null');
    for (const name of ['xorg.service', 'term.service'])
      assert.match(readlinkSync(join(units, 'multi-user.target.wants', name)), new RegExp(`/${name}$`));
  } finally {
    rmSync(scratch, { recursive: true });
  }
});

test('the lines of the page of rootless seats are those that the lab runs', () => {
  const lab = ['driver/engine-variants.ts', 'tests/rootless.test.ts', 'guest/desk/config']
    .map((name) => text(`test/lab/${name}`))
    .join('\n')
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the lab's own template
    .replaceAll('${shifted}', '1000000')
    .replaceAll('$name', 'left')
    .replaceAll('/usr/local/bin/hotseat', '/usr/bin/hotseat');
  const lines = textBlocks('docs/howto/rootless.md').filter((block) => !block.startsWith('seat:'));
  assert.is(lines.length, 5);
  for (const line of lines.flatMap((block) => block.trim().split('\n')))
    assert.ok(lab.includes(line.replace(' IMAGE COMMAND', '')), `docs/howto/rootless.md: the lab has no ${line}`);
});

test('every seat file that a page shows, or a part of one, is read without a mistake', () => {
  const files = allPages.flatMap(({ path }) => textBlocks(path)).filter((block) => block.startsWith('seat:'));
  assert.ok(files.length >= 3);
  for (const file of files) {
    const loaded = compose([{ name: 'left.yaml', text: file }], 'unversioned', 'pc');
    assert.ok(loaded.ok, `${file}${JSON.stringify(loaded)}`);
  }
});

test('many PCs: the commands of the page connect a PC with a common repository, and its commits are signed', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'hotseat-many-'));
  try {
    const [common, clone, pc] = ['common', 'clone', 'pc'].map((name) => join(scratch, name)) as [
      string,
      string,
      string,
    ];
    const env = { HOME: scratch, GIT_CONFIG_GLOBAL: '/dev/null', GIT_AUTHOR_NAME: 'a', GIT_COMMITTER_NAME: 'a' };
    const shell = (script: string, cwd: string) =>
      execaSync('bash', ['-ec', script], { cwd, env: { ...env, EMAIL: 'a@b.c' }, stderr: 'inherit' }).stdout;
    mkdirSync(join(scratch, '.ssh'));
    shell(`git init -q --bare -b main ${common} && git clone -q ${common} ${clone} 2>&1`, scratch);
    await makeRepository(pc, join(checkout, 'rules/policies'));
    for (const name of readdirSync(join(pc, '.git/hooks'))) rmSync(join(pc, '.git/hooks', name));

    const [connect = '', pull = '', sign = '', option = ''] = textBlocks('docs/howto/many-pcs.md');
    const policy = 'seat: left\ncontainer: { engine: lxc, name: left }\ndevices: []\n';
    writeFileSync(join(clone, 'left.yaml'), policy);
    shell('git checkout -q -B main && git add left.yaml && git commit -qm one && git push -q origin main', clone);
    const here = (script: string): string => script.replaceAll('/etc/hotseat/policies', pc).replace('URL', common);
    shell(here(connect), scratch);
    shell(sign.replace('ssh-keygen ', "ssh-keygen -q -N '' "), clone);
    writeFileSync(join(clone, 'right.yaml'), policy.replaceAll('left', 'right'));
    shell('git add right.yaml && git commit -qm two && git push -q origin main', clone);
    shell(here(pull), scratch);

    const signers = join(clone, 'signers');
    const load = async (from: string | undefined) => {
      const source = { repository: pc, ref: 'refs/heads/main', signers: from };
      return loadCommit(source, await resolveCommit(source), 'pc', join(scratch, 'copies'));
    };
    const loaded = await load(signers);
    assert.ok(loaded.ok, JSON.stringify(loaded));
    assert.equal(
      loaded.policy.seats.map(({ seat }) => seat),
      ['left', 'right'],
    );
    shell('git -c commit.gpgsign=false commit -qm three --allow-empty && git push -q origin main', clone);
    shell(here(pull), scratch);
    await load(signers).then(
      () => assert.unreachable('nobody has signed it'),
      (error: Error) => assert.match(error.message, /is not signed by a key in/),
    );
    const words = /^HOTSEAT_OPTIONS="(.*)"$/m.exec(option)?.[1]?.split(' ') ?? [];
    assert.type(parse(verbs['run'] as Verb, words), 'object', option);
  } finally {
    rmSync(scratch, { recursive: true });
  }
});

/** Pages whose examples the lab runs in a form of its own, each with the tests that do. */
const examplesOfTheLab = [
  ['kiosk.md', 10, ['sessions.test.ts']],
  ['one-card-two-seats.md', 5, ['lease.test.ts', 'sessions.test.ts', 'frames-filter.ts']],
  ['share-devices.md', 2, ['sound-server.test.ts']],
  ['take-back-keyboards.md', 2, ['seated.ts']],
] as const;
/** Not compared: a program in the place of the reader's own, and keys of a unit that have nothing to do with Hotseat. */
const readersOwn = ['/usr/local/bin/display-server', 'Restart=on-failure', '[Service]', 'User=anna'];

for (const [page, least, tests] of examplesOfTheLab) {
  test(`the lines that ${page} shows are those that the lab runs`, () => {
    const lab = tests.map((name) => text(`test/lab/tests/${name}`)).join('\n');
    const path = `docs/howto/${page}`;
    const parts = blocksOf({ path, text: text(path) })
      .filter(({ text: block }) => !block.startsWith('seat:'))
      .flatMap((block) => block.text.trim().split('\n'))
      // A template of the lab puts the words of these lines together.
      .flatMap((line) =>
        /^(Environment|ExecStart)=|^hotseat-xorg /.test(line)
          ? line.replace(/^(Environment|ExecStart)=/, '').split(' ')
          : [line],
      )
      .filter((part) => part !== '' && !readersOwn.includes(part));
    assert.ok(parts.length >= least, `${page}: ${parts.join(', ')}`);
    for (const part of parts)
      assert.ok(lab.includes(part.replace('load-module ', '')), `${path}: the lab has no ${part}`);
  });
}

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
