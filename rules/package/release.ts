// Makes a release of a built checkout: version, changelog, commit, package, checksums, tag. Usage: release.js X.Y.Z [--dry-run]

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { execaSync } from 'execa';
import { compareVersions, isVersion, released, withPackage, withVersion } from './release-texts.js';

const checkout = resolve(import.meta.dirname, '../../..');
const text = (name: string): string => readFileSync(join(checkout, name), 'utf8');
const git = (...words: string[]): string => execaSync('git', words, { cwd: checkout }).stdout;

try {
  main();
} catch (error) {
  console.error(`release: ${(error as Error).message}`);
  process.exitCode = 1;
}

function main(): void {
  const { values, positionals } = parseArgs({ options: { 'dry-run': { type: 'boolean' } }, allowPositionals: true });
  const [version = ''] = positionals;
  const tag = `v${version}`;
  refuse(version, tag);
  const date = new Date().toISOString().slice(0, 10);
  const { changelog, notes } = released(text('CHANGELOG.md'), version, date);
  const texts: readonly (readonly [string, string])[] = [
    ['CHANGELOG.md', changelog],
    ['README.md', withPackage(text('README.md'), version)],
    ...['package.json', 'package-lock.json'].map((name) => [name, withVersion(text(name), version)] as const),
  ];
  const changed = texts.filter(([name, after]) => after !== text(name));
  const architecture = execaSync('dpkg', ['--print-architecture']).stdout;
  if (values['dry-run'] === true) {
    console.log(`would write ${changed.map(([name]) => name).join(', ')}, and commit them as "Release ${version}"`);
    console.log(`would build dist/hotseat_${version}-1_${architecture}.deb and dist/SHA256SUMS`);
    console.log(`would make the tag ${tag}, with this text:\n\n${notes}`);
    return;
  }
  const before = git('rev-parse', 'HEAD');
  try {
    for (const [name, after] of changed) writeFileSync(join(checkout, name), after);
    git('commit', '--quiet', '--message', `Release ${version}`, '--', ...changed.map(([name]) => name));
    execaSync('node', [join(import.meta.dirname, 'deb.js')], { cwd: checkout, stdout: 'inherit', stderr: 'inherit' });
    sum(version);
    git('tag', '--annotate', '--cleanup=verbatim', tag, '--message', `Hotseat ${version}\n\n${notes}\n`);
  } catch (error) {
    // Nothing else was changed: the tree was clean.
    git('reset', '--quiet', '--hard', before);
    throw new Error(`${(error as Error).message}\nrelease: everything is as it was before`);
  }
  console.log('dist/SHA256SUMS');
  console.log(
    `${tag} is made here and nowhere else. To publish it: git push --follow-tags, then upload the files in dist`,
  );
  console.log(
    `Only for ${architecture}: the package udev is compiled for the PC that builds it. For another architecture, go to ${tag} on such a PC, and npm run deb`,
  );
}

/** Throws when there can be no such release. */
function refuse(version: string, tag: string): void {
  if (!isVersion(version)) {
    const said = version === '' ? 'no version is named' : `${version} is no version`;
    throw new Error(`${said}: npm run release -- X.Y.Z, such as 1.2.0`);
  }
  const dirty = git('status', '--porcelain');
  if (dirty !== '') {
    throw new Error(
      `the checkout has changes that are not committed:\n${dirty}\ncommit them, or put them aside: git stash`,
    );
  }
  const tags = git('tag', '--list', 'v*').split('\n');
  if (tags.includes(tag))
    throw new Error(`the tag ${tag} exists: a release is never made twice, name the next version`);
  const newest = tags
    .map((name) => name.slice(1))
    .filter(isVersion)
    .sort(compareVersions)
    .at(-1);
  if (newest !== undefined && compareVersions(version, newest) < 0) {
    throw new Error(`${version} comes before ${newest}, which is released: name a later version`);
  }
}

/** Checksums of the packages of a version, in the form of sha256sum(1). */
function sum(version: string): void {
  const dist = join(checkout, 'dist');
  const names = readdirSync(dist).filter((name) => name.startsWith(`hotseat_${version}-1_`) && name.endsWith('.deb'));
  const lines = names.sort().map(
    (name) =>
      `${createHash('sha256')
        .update(readFileSync(join(dist, name)))
        .digest('hex')}  ${name}`,
  );
  writeFileSync(join(dist, 'SHA256SUMS'), `${lines.join('\n')}\n`);
}
