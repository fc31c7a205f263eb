// The texts that a release changes. test/namespace/release.test.ts makes one.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compareVersions, isVersion, released, withPackage, withVersion } from '../../rules/package/release-texts.js';
import { checkout } from './hotseat.js';

const changelog = '# Changelog\n\nWords.\n\n## [Unreleased]\n\n### Added\n\n- Something.\n';
const older = '\n## [0.9.0] - 2026-01-01\n\n### Fixed\n\n- More.\n';

test('what was not released becomes a version with a date, and older versions stay', () => {
  const after = '# Changelog\n\nWords.\n\n## [Unreleased]\n\n## [1.0.0] - 2026-11-27\n\n### Added\n\n- Something.\n';
  const notes = '### Added\n\n- Something.';
  assert.equal(released(changelog, '1.0.0', '2026-11-27'), { changelog: after, notes });
  assert.equal(released(changelog + older, '1.0.0', '2026-11-27'), { changelog: after + older, notes });
  assert.throws(() => released(after, '1.0.1', '2026-11-28'), /says nothing below/);
  assert.throws(() => released('# Changelog\n', '1.0.1', '2026-11-28'), /has no section/);
});

test('versions are compared by their numbers', () => {
  for (const good of ['0.1.0', '1.2.3', '10.0.12']) assert.ok(isVersion(good), good);
  for (const bad of ['', '1.2', 'v1.2.3', '1.2.3-rc1', '01.2.3', '1.2.3\n']) assert.not.ok(isVersion(bad), bad);
  assert.equal(['1.10.0', '1.9.9', '0.1.0', '1.9.10'].sort(compareVersions), ['0.1.0', '1.9.9', '1.9.10', '1.10.0']);
});

test('the version of this package changes, and not that of what it needs', () => {
  const lock =
    '{\n  "version": "0.1.0",\n  "packages": {\n    "": {\n      "version": "0.1.0"\n    },\n    "x": {\n      "version": "0.1.0"\n    }\n  }\n}\n';
  assert.is(withVersion(lock, '0.2.0'), lock.replace('"0.1.0"', '"0.2.0"').replace('"0.1.0"', '"0.2.0"'));
  for (const name of ['package.json', 'package-lock.json']) {
    const text = readFileSync(join(checkout, name), 'utf8');
    const { version } = JSON.parse(text) as { version: string };
    assert.is(withVersion(text, version), text, `${name} keeps its form`);
  }
  assert.is(
    withPackage('apt install ./dist/hotseat_0.1.0-1_amd64.deb', '2.0.0'),
    'apt install ./dist/hotseat_2.0.0-1_amd64.deb',
  );
});

test.run();
