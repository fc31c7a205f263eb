import { createHash, randomBytes } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { keepLastGood, lastGood } from '../../agent/active/last-good.js';
import { formatDiagnostic } from '../../agent/policy/diagnostics.js';
import type { Loaded } from '../../agent/policy/files.js';
import { isAncestor, loadCommit, resolveCommit } from '../../agent/policy/git.js';

const seat = (name: string, more = ''): string =>
  `seat: ${name}\n${more}container: { engine: lxc, name: ${name} }\ndevices:\n  - { label: all, match: { ID_SEAT: ${name} } }\n`;

/** A real repository with a work tree, and a directory beside it that is no part of it. */
class Repository {
  readonly outside = mkdtempSync(join(tmpdir(), 'hotseat-git-'));
  readonly path = join(this.outside, 'policies');
  readonly copies = join(this.outside, 'copies');

  constructor() {
    mkdirSync(this.path);
    this.git('init', '-q', '-b', 'main');
    this.git('config', 'user.name', 'Admin');
    this.git('config', 'user.email', 'admin@example.org');
  }

  git(...command: string[]): string {
    return execaSync('git', ['-C', this.path, ...command], { env: { GIT_CONFIG_GLOBAL: '/dev/null' } }).stdout;
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.path, name), text);
  }

  commit(...options: string[]): string {
    this.git('add', '-A');
    this.git('commit', '-q', '--no-verify', '-m', 'change', ...options);
    return this.git('rev-parse', 'HEAD');
  }

  async load(ref = 'refs/heads/main', signers?: string, host = 'pc'): Promise<Loaded> {
    const source = { repository: this.path, ref, signers };
    return loadCommit(source, await resolveCommit(source), host, this.copies);
  }

  /** Where a loose object lies, by its name. */
  loose(object: string): string {
    return join(this.path, '.git/objects', object.slice(0, 2), object.slice(2));
  }

  /** A key outside, with which commits are signed from now on; returns the file that names it as a signer. */
  signer(name = 'known'): string {
    const [key, signers] = [join(this.outside, name), join(this.outside, `${name}.signers`)];
    execaSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    writeFileSync(signers, `admin@example.org ${readFileSync(`${key}.pub`, 'utf8')}`);
    for (const [setting, value] of [
      ['gpg.format', 'ssh'],
      ['user.signingKey', key],
      ['commit.gpgSign', 'true'],
    ] as const) {
      this.git('config', setting, value);
    }
    return signers;
  }
}

async function within(use: (repository: Repository) => Promise<void>): Promise<void> {
  const repository = new Repository();
  try {
    await use(repository);
  } finally {
    rmSync(repository.outside, { recursive: true, force: true });
  }
}

const seats = (loaded: Loaded): string[] => (loaded.ok ? loaded.policy.seats.map((one) => one.seat) : ['refused']);
const said = (loaded: Loaded): string => (loaded.ok ? 'fine' : loaded.diagnostics.map(formatDiagnostic).join('\n'));
const failure = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'fine',
    (error: Error) => error.message,
  );

test('what is committed counts, not what lies in the work tree; the commit is the revision', () =>
  within(async (repository) => {
    repository.write('left.yaml', seat('left'));
    const commit = repository.commit();
    repository.write('left.yaml', 'nonsense');
    repository.write('right.yaml', seat('right'));
    const loaded = await repository.load();
    assert.equal(seats(loaded), ['left']);
    assert.is(loaded.ok && loaded.policy.revision, commit);
  }));

test('tests beside the seat files are committed with them, and are no seat files', () =>
  within(async (repository) => {
    repository.write('left.yaml', seat('left'));
    mkdirSync(join(repository.path, 'tests', 'devices'), { recursive: true });
    repository.write('tests/left.yaml', '- nonsense');
    repository.write('tests/devices/keyboard.yaml', 'nonsense');
    repository.commit();
    assert.equal(seats(await repository.load()), ['left']);
  }));

test('a bare repository, and an older revision of it', () =>
  within(async (repository) => {
    repository.write('left.yaml', seat('left'));
    const old = repository.commit();
    repository.write('left.yaml', seat('other'));
    repository.commit();
    const bare = join(repository.outside, 'bare.git');
    repository.git('clone', '-q', '--bare', repository.path, bare);
    const source = { repository: bare, ref: old, signers: undefined };
    assert.equal(seats(await loadCommit(source, await resolveCommit(source), 'pc')), ['left']);
  }));

test('one bad file refuses the whole revision, and the message names it', () =>
  within(async (repository) => {
    repository.write('left.yaml', seat('left'));
    repository.write('right.yaml', 'seat: right\nprot: 3\n');
    repository.commit();
    assert.match(said(await repository.load()), /^right\.yaml:/);
  }));

test('a ref that is none, an option as a ref, a directory that is no repository', () =>
  within(async (repository) => {
    repository.write('left.yaml', seat('left'));
    repository.commit();
    assert.not.equal(await failure(repository.load('refs/heads/none')), 'fine');
    const made = join(repository.outside, 'made');
    assert.not.equal(await failure(repository.load(`--output=${made}`)), 'fine');
    assert.not.ok(existsSync(made));
    const none = { repository: repository.outside, ref: 'HEAD', signers: undefined };
    assert.match(await failure(resolveCommit(none)), /not a git repository/);
  }));

test('hosts: one repository serves several PCs, and two of them may have a seat of one name', () =>
  within(async (repository) => {
    repository.write('a.yaml', seat('left', 'hosts: [pc-1, lab-*]\n'));
    repository.write('b.yaml', seat('left', 'hosts: pc-2\n'));
    repository.write('c.yaml', seat('right'));
    repository.commit();
    assert.equal(seats(await repository.load('main', undefined, 'pc-1')), ['left', 'right']);
    assert.equal(seats(await repository.load('main', undefined, 'lab-7')), ['left', 'right']);
    assert.equal(seats(await repository.load('main', undefined, 'pc-3')), ['right']);
    repository.write('b.yaml', seat('left', 'hosts: lab-7\n'));
    repository.commit();
    assert.match(
      said(await repository.load('main', undefined, 'lab-7')),
      /b\.yaml:1:7: seat left is in a\.yaml already/,
    );
  }));

test('every program that a hostile repository names is left alone', () =>
  within(async (repository) => {
    const signers = repository.signer();
    repository.write('left.yaml', seat('left'));
    repository.write('.gitattributes', '*.yaml filter=evil diff=evil\n');
    repository.commit();
    const ran = join(repository.outside, 'ran');
    const program = join(repository.outside, 'evil');
    writeFileSync(program, `#!/bin/sh\necho "$0 $*" >> ${ran}\ncat\n`, { mode: 0o755 });
    const keys = [
      ...['core.fsmonitor', 'core.pager', 'core.sshCommand', 'core.editor', 'core.askPass', 'core.gitProxy'],
      ...['core.alternateRefsCommand', 'credential.helper', 'diff.external', 'diff.evil.textconv'],
      ...['filter.evil.smudge', 'filter.evil.clean', 'filter.evil.process', 'gpg.program', 'gpg.ssh.program'],
      ...['gpg.openpgp.program', 'gpg.x509.program', 'pager.ls-tree', 'pager.rev-parse', 'pager.cat-file'],
      ...['uploadpack.packObjectsHook', 'remote.origin.uploadpack'],
    ];
    for (const key of keys) repository.git('config', key, program);
    for (const verb of ['rev-parse', 'ls-tree', 'cat-file']) repository.git('config', `alias.${verb}`, `!${program}`);
    for (const protocol of ['ext', 'file']) repository.git('config', `protocol.${protocol}.allow`, 'always');
    for (const hook of ['post-checkout', 'reference-transaction', 'post-index-change']) {
      writeFileSync(join(repository.path, '.git/hooks', hook), `#!/bin/sh\n${program} hook\n`, { mode: 0o755 });
    }
    // The trap is a trap: an admin's command falls into it.
    execaSync('git', ['-C', repository.path, 'status'], { reject: false });
    assert.ok(existsSync(ran), 'the repository is not hostile');
    rmSync(ran);

    assert.equal(seats(await repository.load()), ['left']);
    // Signature checks that fail must not run its programs either, nor may the making of a private copy.
    assert.equal(seats(await repository.load('main', signers)), ['left']);
    assert.not.equal(await failure(repository.load('main', join(repository.outside, 'signers'))), 'fine');
    assert.not.ok(existsSync(ran));
  }));

test('a missing object of a partial clone is fetched by nothing', () =>
  within(async (repository) => {
    repository.write('left.yaml', seat('left'));
    repository.commit();
    const object = repository.git('rev-parse', 'HEAD:left.yaml');
    rmSync(join(repository.path, '.git/objects', object.slice(0, 2), object.slice(2)));
    const ran = join(repository.outside, 'ran');
    const settings = {
      'core.repositoryFormatVersion': '1',
      'extensions.partialClone': 'origin',
      'remote.origin.promisor': 'true',
      'remote.origin.url': `ext::sh -c touch% ${ran}`,
      'protocol.ext.allow': 'always',
    };
    for (const [key, value] of Object.entries(settings)) repository.git('config', key, value);
    execaSync('git', ['-C', repository.path, 'cat-file', '-p', object], { reject: false });
    assert.ok(existsSync(ran), 'the repository is not hostile');
    rmSync(ran);
    assert.match(said(await repository.load()), /^left\.yaml:1:1: its object is missing/);
    assert.not.ok(existsSync(ran));
  }));

test('what git in the agent’s surroundings is told to do is not done', () =>
  within(async (repository) => {
    repository.write('left.yaml', seat('left'));
    repository.commit();
    const before = process.env['GIT_DIR'];
    process.env['GIT_DIR'] = '/nonexistent';
    try {
      assert.equal(seats(await repository.load()), ['left']);
    } finally {
      if (before === undefined) delete process.env['GIT_DIR'];
      else process.env['GIT_DIR'] = before;
    }
  }));

test('links, submodules, huge files and bombs of aliases are refused by name', () =>
  within(async (repository) => {
    repository.write('left.yaml', seat('left'));
    const commit = repository.commit();
    symlinkSync('/etc/shadow', join(repository.path, 'link.yaml'));
    repository.write('huge.yaml', '#'.repeat(8 * 1024 * 1024));
    repository.git('add', '-A');
    repository.git('update-index', '--add', '--cacheinfo', `160000,${commit},module.yaml`);
    repository.git('commit', '-q', '-m', 'hostile');
    const answer = said(await repository.load());
    assert.match(answer, /^link\.yaml:1:1: is no plain file/m);
    assert.match(answer, /^module\.yaml:1:1: is no plain file/m);
    assert.match(answer, /^huge\.yaml:1:1: the file has 8388608 bytes/m);

    repository.git('reset', '-q', '--hard', commit);
    const bomb = Array.from({ length: 30 }, (_, n) => `a${n}: &a${n} [${`*a${n - 1},`.repeat(n === 0 ? 0 : 9)}]`);
    repository.write('bomb.yaml', bomb.join('\n'));
    repository.write('deep.yaml', '['.repeat(100_000));
    repository.commit();
    const refused = said(await repository.load());
    assert.match(refused, /^bomb\.yaml:\d+:\d+: an alias/m);
    assert.match(refused, /^deep\.yaml:/m);
  }));

test('refs/replace puts nothing behind the commit that was named', () =>
  within(async (repository) => {
    repository.write('left.yaml', seat('left'));
    const good = repository.commit();
    repository.write('left.yaml', seat('evil'));
    const evil = repository.commit();
    repository.git('replace', good, evil);
    assert.equal(seats(await repository.load(good)), ['left']);
  }));

test('with signers, only commits signed by one of them', () =>
  within(async (repository) => {
    const [known, stranger, signers] = ['known', 'stranger', 'signers'].map((name) => join(repository.outside, name));
    for (const key of [known, stranger]) execaSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', String(key)]);
    const publicKey = execaSync('cat', [`${known}.pub`]).stdout;
    writeFileSync(String(signers), `admin@example.org ${publicKey}\n`);
    repository.git('config', 'gpg.format', 'ssh');
    const signWith = (key: string | undefined) => repository.git('config', 'user.signingKey', String(key));

    repository.write('left.yaml', seat('left'));
    repository.commit();
    assert.match(await failure(repository.load('main', signers)), /is not signed by a key in/);
    signWith(stranger);
    repository.commit('--allow-empty', '-S');
    assert.match(await failure(repository.load('main', signers)), /is not signed by a key in/);
    // The repository may not choose whom it trusts.
    writeFileSync(join(repository.outside, 'own'), `* ${execaSync('cat', [`${stranger}.pub`]).stdout}\n`);
    repository.git('config', 'gpg.ssh.allowedSignersFile', join(repository.outside, 'own'));
    repository.git('config', 'gpg.minTrustLevel', 'never');
    assert.match(await failure(repository.load('main', signers)), /is not signed by a key in/);
    signWith(known);
    repository.commit('--allow-empty', '-S');
    assert.equal(seats(await repository.load('main', signers)), ['left']);
  }));

test('with signers, a blob that lies under the name of the one that was signed is never read', () =>
  within(async (repository) => {
    const signers = repository.signer();
    repository.write('left.yaml', seat('left'));
    repository.commit();
    const good = repository.git('rev-parse', 'HEAD:left.yaml');
    assert.equal(seats(await repository.load('main', signers)), ['left']);
    const evil = execaSync('git', ['-C', repository.path, 'hash-object', '-w', '--stdin'], {
      input: seat('evil'),
    }).stdout;

    rmSync(repository.loose(good));
    copyFileSync(repository.loose(evil), repository.loose(good));
    assert.equal(seats(await repository.load('main')), ['evil'], 'git itself does not notice');
    assert.match(await failure(repository.load('main', signers)), new RegExp(`object ${good} does not match its name`));

    rmSync(repository.loose(good));
    misname(repository, evil, good);
    assert.equal(seats(await repository.load('main')), ['evil'], 'nor in a pack');
    assert.match(await failure(repository.load('main', signers)), new RegExp(`object ${good} does not match its name`));
    assert.equal(readdirSync(repository.copies), [], 'a copy is gone after its use');
  }));

/** Packs an object; the index of the pack calls it otherwise (gitformat-pack(5), version 2 .idx files). */
function misname(repository: Repository, object: string, name: string): void {
  const base = join(repository.path, '.git/objects/pack/pack');
  const hash = execaSync('git', ['-C', repository.path, 'pack-objects', '-q', base], { input: `${object}\n` }).stdout;
  const file = `${base}-${hash}.idx`;
  const index = readFileSync(file);
  const first = Number.parseInt(name.slice(0, 2), 16);
  for (let byte = 0; byte < 256; byte++) index.writeUInt32BE(byte < first ? 0 : 1, 8 + 4 * byte);
  Buffer.from(name, 'hex').copy(index, 8 + 4 * 256);
  createHash('sha1')
    .update(index.subarray(0, -20))
    .digest()
    .copy(index, index.length - 20);
  rmSync(file);
  writeFileSync(file, index);
}

test('with signers, neither another tree nor another commit under the signed name', () =>
  within(async (repository) => {
    const signers = repository.signer();
    repository.write('left.yaml', seat('left'));
    const commit = repository.commit();
    repository.write('left.yaml', seat('evil'));
    const evil = repository.commit('--no-gpg-sign');
    for (const what of ['^{tree}', '^{commit}']) {
      const [good, other] = [commit, evil].map((name) => repository.git('rev-parse', `${name}${what}`)) as [
        string,
        string,
      ];
      const kept = readFileSync(repository.loose(good));
      rmSync(repository.loose(good));
      copyFileSync(repository.loose(other), repository.loose(good));
      assert.match(
        await failure(repository.load(commit, signers)),
        new RegExp(`hash mismatch ${good}|object ${good} does not match its name`),
      );
      rmSync(repository.loose(good));
      writeFileSync(repository.loose(good), kept);
    }
    assert.equal(seats(await repository.load(commit, signers)), ['left']);
  }));

test('with signers, whether a commit descends from another is asked of the commits themselves', () =>
  within(async (repository) => {
    const commits = ['one', 'two', 'three'].map((name) => {
      repository.write('left.yaml', seat(name));
      return repository.commit();
    }) as [string, string, string];
    const [one, two, three] = commits;
    const is = (ancestor: string, commit: string, path = repository.path) =>
      isAncestor(path, ancestor, commit, repository.copies);
    assert.equal([await is(one, three), await is(three, three), await is(two, one)], [true, true, false]);

    // A shallow clone does not have all commits: it tells only of its own.
    const shallow = join(repository.outside, 'shallow');
    repository.git('clone', '-q', '--depth=2', `file://${repository.path}`, shallow);
    assert.is(await is(two, three, shallow), true);
    assert.match(await failure(is(one, three, shallow)), /git rev-list/);
    // A boundary that is made up hides nothing.
    writeFileSync(join(repository.path, '.git/shallow'), `${three}\n`);
    assert.match(await failure(is(one, three)), /git rev-list/);
  }));

test('with signers: SHA-256, packs, a bare clone, another repository’s objects', () =>
  within(async (repository) => {
    rmSync(join(repository.path, '.git'), { recursive: true });
    repository.git('init', '-q', '-b', 'main', '--object-format=sha256');
    repository.git('config', 'user.name', 'Admin');
    repository.git('config', 'user.email', 'admin@example.org');
    const signers = repository.signer();
    for (const name of ['one', 'two']) {
      repository.write('left.yaml', seat(name));
      repository.commit();
    }
    repository.git('gc', '-q');
    assert.equal(seats(await repository.load('main', signers)), ['two']);
    const clone = join(repository.outside, 'clone');
    repository.git('clone', '-q', '--bare', '--shared', repository.path, clone);
    const source = { repository: clone, ref: 'main', signers };
    assert.equal(seats(await loadCommit(source, await resolveCommit(source), 'pc', repository.copies)), ['two']);
  }));

test('with signers, a repository with too much in it is refused, and nothing of it stays', () =>
  within(async (repository) => {
    const signers = repository.signer();
    repository.write('left.yaml', seat('left'));
    // Only seat files are copied.
    writeFileSync(join(repository.path, 'film'), randomBytes(20 * 1024 * 1024));
    repository.commit();
    assert.equal(seats(await repository.load('main', signers)), ['left']);
    repository.write('zeros.yaml', '#'.repeat(8 * 1024 * 1024));
    repository.commit();
    assert.match(said(await repository.load('main', signers)), /^zeros\.yaml:1:1: the file has 8388608 bytes/m);
    writeFileSync(join(repository.path, 'noise.yaml'), randomBytes(20 * 1024 * 1024));
    repository.commit();
    assert.match(await failure(repository.load('main', signers)), /pack-objects in .*: more than 16777216 bytes/);
    assert.equal(readdirSync(repository.copies), []);
  }));

test('with signers, a history that is too long is refused with the remedy, and that helps', () =>
  within(async (repository) => {
    const signers = repository.signer();
    const long = join(repository.outside, 'long');
    writeFileSync(long, randomBytes(18 * 1024 * 1024).toString('base64'));
    repository.git('commit', '-q', '--allow-empty', '--cleanup=verbatim', '-F', long);
    repository.write('left.yaml', seat('left'));
    const floor = repository.commit();
    repository.write('left.yaml', seat('next'));
    const commit = repository.commit();
    assert.match(
      await failure(repository.load('main', signers)),
      /^the commits before [0-9a-f]{40} are too many to be checked .*: let .* be a shallow clone that still has the commit/,
    );
    const clone = join(repository.outside, 'clone');
    repository.git('clone', '-q', '--depth=2', `file://${repository.path}`, clone);
    const source = { repository: clone, ref: 'main', signers };
    assert.equal(seats(await loadCommit(source, commit, 'pc', repository.copies)), ['next']);
    assert.ok(await isAncestor(clone, floor, commit, repository.copies));
  }));

test('the policy that was good last is there after a boot; half a file is none', () =>
  within(async (repository) => {
    const file = join(repository.outside, 'var', 'last-good.json');
    assert.is(lastGood(file, 'pc'), undefined);
    keepLastGood(file, 'abc', [{ name: 'left.yaml', text: seat('left') }]);
    assert.equal(
      lastGood(file, 'pc')?.policy.seats.map((one) => one.seat),
      ['left'],
    );
    assert.is(lastGood(file, 'pc')?.policy.revision, 'abc');
    writeFileSync(file, '{"revision": "a');
    assert.is(lastGood(file, 'pc'), undefined);
  }));

test.run();
