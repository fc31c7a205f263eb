import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execaSync } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { permitted } from '../../agent/control/permission.js';
import { groupsFile, installedFiles, local, packaged } from '../../agent/install/files.js';
import { apply, changesForInstall, changesForUninstall } from '../../agent/install/place.js';
import { makeRepository } from '../../agent/install/repository.js';
import { loadCommit, resolveCommit } from '../../agent/policy/git.js';
import { runtimePackages } from '../../rules/package/dependencies.js';

const checkout = resolve(import.meta.dirname, '../../..');
const scratch = mkdtempSync(join(tmpdir(), 'hotseat-install-'));
const generated = { page: 'page\n', completion: (shell: string) => `${shell}\n` };
const ours = installedFiles(checkout, local('/opt/hotseat'), generated);

test('a checkout is installed beside what the distribution owns, and nothing of it names the package', () => {
  for (const { path, text } of ours) {
    assert.match(path, /^\/(usr\/local|etc)\//);
    assert.not.match(text, /\/usr\/(bin\/hotseat|share\/hotseat|lib\/hotseat)/, path);
  }
  assert.is(new Set(ours.map(({ path }) => path)).size, ours.length);
});

test('the package has the same files in its own places', () => {
  const theirs = installedFiles(checkout, packaged, generated);
  assert.is(theirs.length, ours.length);
  for (const { path } of theirs) assert.match(path, /^\/(usr\/(bin|lib|share)|etc\/default)\//);
  assert.match(
    theirs.find(({ path }) => path.endsWith('/hotseat.service'))?.text ?? '',
    /ExecStart=\/usr\/bin\/hotseat run/,
  );
});

test('the group of those who may is made in either place, by the name that the agent looks for', () => {
  const made = [groupsFile(packaged), groupsFile(local('/opt/hotseat'))].map((path) =>
    [...installedFiles(checkout, packaged, generated), ...ours].find((file) => file.path === path),
  );
  for (const file of made) assert.match(file?.text ?? '', new RegExp(`^g ${permitted.all} -$`, 'm'));
});

test("installing writes what is missing or another's, twice is once; what is the admin's stays", () => {
  const root = join(scratch, 'root');
  const what = () => Object.fromEntries(changesForInstall(ours, root).map(({ path, what: how }) => [path, how]));
  assert.ok(Object.values(what()).every((how) => how === 'write'));
  apply(changesForInstall(ours, root), ours, root);
  assert.is(statSync(join(root, '/usr/local/bin/hotseat')).mode & 0o777, 0o755);
  assert.ok(Object.values(what()).every((how) => how === 'keep'));
  writeFileSync(join(root, '/etc/default/hotseat'), 'HOTSEAT_OPTIONS=\n');
  writeFileSync(join(root, '/usr/local/bin/hotseat'), 'an older one\n');
  assert.is(what()['/etc/default/hotseat'], 'keep');
  assert.is(what()['/usr/local/bin/hotseat'], 'write');
  apply(changesForUninstall(ours, root), ours, root);
  assert.ok(existsSync(join(root, '/etc/default/hotseat')));
  assert.not.ok(existsSync(join(root, '/usr/local/bin/hotseat')));
  assert.equal([...new Set(changesForUninstall(ours, root).map(({ what: how }) => how))].sort(), ['absent', 'keep']);
});

test('the repository is one commit without a seat; a seat file with a mistake is refused by the commit', async () => {
  const directory = join(scratch, 'policies');
  assert.is(await makeRepository(directory, join(checkout, 'rules/policies')), true);
  assert.is(await makeRepository(directory, join(checkout, 'rules/policies')), false);
  const source = { repository: directory, ref: 'refs/heads/main', signers: undefined };
  const first = await loadCommit(source, await resolveCommit(source), 'pc');
  assert.ok(first.ok);
  assert.equal(first.policy.seats, []);
  const bin = join(scratch, 'bin');
  mkdirSync(bin);
  writeFileSync(
    join(bin, 'hotseat'),
    `#!/bin/sh\nexec '${process.execPath}' '${checkout}/dist/hotseat/main.js' "$@"\n`,
  );
  chmodSync(join(bin, 'hotseat'), 0o755);
  const git = (...words: string[]) =>
    execaSync('git', ['-C', directory, ...words], {
      env: { PATH: `${bin}:${process.env['PATH']}`, GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@b' },
      reject: false,
    });
  const example = readFileSync(join(directory, 'seat.yaml.example'), 'utf8');
  writeFileSync(join(directory, 'left.yaml'), example.replace('match:', 'mtach:'));
  git('add', 'left.yaml');
  const refused = git('commit', '-m', 'left');
  assert.is(refused.exitCode, 1);
  assert.match(refused.stderr, /left\.yaml:\d+:\d+: unknown key "mtach"/);
  // The commit counts, not the work tree.
  writeFileSync(join(directory, 'left.yaml'), example);
  git('add', 'left.yaml');
  writeFileSync(join(directory, 'left.yaml'), 'rubbish');
  const taken = git('commit', '-m', 'left');
  assert.is(taken.exitCode, 0, taken.stderr);
  const second = await loadCommit(source, await resolveCommit(source), 'pc');
  assert.ok(second.ok);
  assert.equal(
    second.policy.seats.map(({ seat }) => seat),
    ['left'],
  );
});

test('a directory that has anything in it is left as it is', async () => {
  const directory = join(scratch, 'mine');
  mkdirSync(directory);
  writeFileSync(join(directory, 'left.yaml'), '');
  assert.is(await makeRepository(directory, join(checkout, 'rules/policies')), false);
  assert.not.ok(existsSync(join(directory, '.git')));
});

test('the package takes what runs, and neither compilers nor what develops it', () => {
  const names = runtimePackages(checkout).map((path) => path.replace(/^.*node_modules\//, ''));
  for (const name of ['rxjs', 'udev', 'bindings', 'koffi']) assert.ok(names.includes(name), name);
  for (const name of ['typescript', 'uvu', '@biomejs/biome', '@mapbox/node-pre-gyp'])
    assert.not.ok(names.includes(name), name);
});

test('an upgrade restarts the agent alone; the holder, with all pictures and inputs, goes with the package', () => {
  const directory = join(scratch, 'scripts');
  const said = join(directory, 'said');
  mkdirSync(directory);
  const programs = ['systemctl', 'deb-systemd-invoke', 'deb-systemd-helper', 'systemd-sysusers', 'hotseat', 'rm'];
  for (const name of programs) {
    writeFileSync(join(directory, name), `#!/bin/sh\necho ${name} "$@" >> ${said}\n`, { mode: 0o755 });
  }
  const run = (script: string, ...words: string[]): void => {
    const text = readFileSync(join(checkout, 'rules/package', script), 'utf8');
    // A PC on which systemd runs, and nothing of this one's.
    const here = text.replaceAll('/run/systemd/system', directory).replaceAll('/usr/lib/hotseat', directory);
    execaSync('sh', ['-s', ...words], { input: here, env: { PATH: `${directory}:/usr/bin:/bin` } });
  };
  run('prerm', 'upgrade', '2');
  run('postinst', 'configure', '1');
  const upgrade = readFileSync(said, 'utf8').split('\n');
  assert.equal(
    upgrade.filter((line) => line.startsWith('deb-systemd-invoke')),
    ['deb-systemd-invoke restart hotseat.service'],
  );
  assert.not.ok(upgrade.some((line) => line.includes('holder')));
  run('prerm', 'remove');
  assert.match(readFileSync(said, 'utf8'), /^deb-systemd-invoke stop hotseat-holder\.socket hotseat-holder\.service$/m);
  // Nothing that befalls the agent's unit befalls the holder's.
  const bound = /^(Requires|Requisite|BindsTo|PartOf|Upholds|Conflicts|Before|After)=.*hotseat\.service/m;
  const bindings = /^(Requires|Requisite|BindsTo|PartOf|Upholds|Conflicts)=.*hotseat-holder/m;
  for (const unit of ['hotseat-holder.service', 'hotseat-holder.socket']) {
    assert.not.match(readFileSync(join(checkout, 'rules', unit), 'utf8'), bound, unit);
  }
  assert.not.match(readFileSync(join(checkout, 'rules/hotseat.service'), 'utf8'), bindings);
});

test('systemd has nothing against the units', () => {
  const root = join(scratch, 'units');
  const files = installedFiles(checkout, { ...local('/opt/hotseat'), bin: join(root, 'bin'), units: root }, generated);
  apply(changesForInstall(files.filter(({ path }) => path.startsWith(root))), files);
  const units = files.filter(({ path }) => path.endsWith('.service')).map(({ path }) => path);
  const { all, exitCode } = execaSync('systemd-analyze', ['verify', '--man=no', ...units], {
    all: true,
    reject: false,
  });
  assert.is(all, '');
  assert.is(exitCode, 0);
});

test.after(() => rmSync(scratch, { recursive: true }));
test('the package can be removed while a container keeps release waiting for ever', () => {
  const bin = join(scratch, 'stuck');
  mkdirSync(bin);
  const put = (name: string, script: string): void =>
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  put('hotseat', "trap '' TERM; while :; do sleep 1; done");
  for (const name of ['deb-systemd-invoke', 'rm']) put(name, ':');
  const prerm = readFileSync(join(checkout, 'rules/package/prerm'), 'utf8').replace('=10 300', '=0.2 0.2');
  const env = { PATH: `${bin}:${process.env['PATH']}` };
  const { exitCode, stderr } = execaSync('sh', ['-c', prerm, 'prerm', 'remove'], {
    env,
    reject: false,
    timeout: 15_000,
  });
  assert.is(exitCode, 0);
  assert.match(stderr, /not everything could be given back/);
});

test.run();
