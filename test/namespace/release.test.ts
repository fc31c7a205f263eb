// A release is made in a repository of the test's own, with the package that it is made of.

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkout } from '../unit/hotseat.js';

const changelog = '# Changelog\n\nWords.\n\n## [Unreleased]\n\n### Added\n\n- Something.\n';

test('one command makes it all, and refuses what it must not do', async () => {
  const copy = mkdtempSync(join(tmpdir(), 'hotseat-release-'));
  const git = (...words: string[]): string => execFileSync('git', words, { cwd: copy, encoding: 'utf8' }).trim();
  const put = (name: string, text: string): void => writeFileSync(join(copy, name), text);
  const read = (name: string): string => readFileSync(join(copy, name), 'utf8');
  const release = (...words: string[]) =>
    execa('node', [join(copy, 'dist/rules/package/release.js'), ...words], {
      ...{ cwd: copy, reject: false, all: true, timeout: 100_000 },
      env: { HOME: copy, GIT_CONFIG_NOSYSTEM: '1' },
    });
  try {
    const parts = [
      'README.md',
      'SECURITY.md',
      'LICENSE',
      'package.json',
      'package-lock.json',
      'docs',
      'policies',
      'rules',
    ];
    for (const name of parts) cpSync(join(checkout, name), join(copy, name), { recursive: true });
    for (const name of ['hotseat', 'rules', 'agent']) {
      cpSync(join(checkout, 'dist', name), join(copy, 'dist', name), { recursive: true });
    }
    symlinkSync(join(checkout, 'node_modules'), join(copy, 'node_modules'));
    put('.gitignore', 'node_modules\ndist/\n.gitconfig\n');
    put('CHANGELOG.md', changelog);
    put('.gitconfig', '[user]\n\tname = Anna\n\temail = anna@example.org\n');
    git('init', '--quiet', '--initial-branch=main');
    for (const [key, value] of [
      ['user.name', 'Anna'],
      ['user.email', 'anna@example.org'],
    ] as const)
      git('config', key, value);
    git('add', '--all');
    git('commit', '--quiet', '--message', 'Start');
    const start = git('rev-parse', 'HEAD');

    const dry = await release('9.9.9', '--dry-run');
    assert.is(dry.exitCode, 0, dry.all);
    assert.match(dry.stdout, /^would write CHANGELOG\.md, README\.md, package\.json, package-lock\.json, /);
    assert.match(dry.stdout, /- Something\.$/m);
    assert.is(git('status', '--porcelain') + git('tag', '--list'), '');

    put('README.md', `${read('README.md')}\n`);
    const dirty = await release('9.9.9');
    assert.is(dirty.exitCode, 1);
    assert.match(dirty.stderr, /not committed:\n M README\.md\n/);
    git('checkout', '--quiet', 'README.md');
    assert.match((await release('9.9')).stderr, /9\.9 is no version: npm run release/);

    const made = await release('9.9.9');
    assert.is(made.exitCode, 0, made.all);
    const [name = ''] = /hotseat_9\.9\.9-1_\w+\.deb/.exec(made.stdout) ?? [];
    assert.ok(existsSync(join(copy, 'dist', name)), made.stdout);
    assert.match(
      execFileSync('sha256sum', ['--check', 'SHA256SUMS'], { cwd: join(copy, 'dist'), encoding: 'utf8' }),
      /: OK$/m,
    );
    assert.is(
      execFileSync('dpkg-deb', ['--field', join(copy, 'dist', name), 'Version'], { encoding: 'utf8' }),
      '9.9.9-1\n',
    );
    assert.is(git('rev-list', '--count', `${start}..v9.9.9`), '1');
    assert.is(git('cat-file', '-t', 'v9.9.9'), 'tag');
    assert.match(
      git('tag', '--list', '--format=%(contents)', 'v9.9.9'),
      /^Hotseat 9\.9\.9\n\n### Added\n\n- Something\.$/,
    );
    assert.match(read('CHANGELOG.md'), /^## \[Unreleased\]\n\n## \[9\.9\.9\] - \d{4}-\d\d-\d\d$/m);
    assert.match(read('README.md'), /hotseat_9\.9\.9-1_amd64\.deb/);
    assert.is(git('status', '--porcelain'), '');

    assert.match((await release('9.9.9')).stderr, /tag v9\.9\.9 exists/);
    assert.match((await release('9.9.8')).stderr, /9\.9\.8 comes before 9\.9\.9/);
    assert.match((await release('9.9.10')).stderr, /says nothing below/);

    // A package that cannot be built leaves nothing behind.
    put('CHANGELOG.md', read('CHANGELOG.md').replace('## [Unreleased]\n', '## [Unreleased]\n\n- Later.\n'));
    rmSync(join(copy, 'rules/default'));
    git('commit', '--all', '--quiet', '--message', 'Later');
    const later = git('rev-parse', 'HEAD');
    const failed = await release('9.9.10');
    assert.is(failed.exitCode, 1);
    assert.match(failed.stderr, /everything is as it was before/);
    assert.is(git('rev-parse', 'HEAD'), later);
    assert.is(git('tag', '--list', 'v9.9.10') + git('status', '--porcelain'), '');
  } finally {
    rmSync(copy, { recursive: true });
  }
});

test.run();
