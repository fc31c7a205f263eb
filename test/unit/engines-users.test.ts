// Whose containers are looked for: groups of users in a directory that stands in for the tree of cgroups.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ContainerRef } from '../../agent/core/policy.js';
import { Engines } from '../../agent/engines/all.js';

const root = mkdtempSync(join(tmpdir(), 'hotseat-users-'));
const commandLine = async () => undefined;
const [former, present] = ['60001', '60002'];

/** Why not all of a look is taken. There are more groups of the former user than anybody looks at. */
const problem = (engines: Engines): string => {
  engines.list();
  return engines.absence({ engine: 'podman', name: 'x', user: undefined });
};
const of = (user: string): ContainerRef[] => [{ engine: 'podman', name: 'left', user }];

test.before(() => {
  const app = join(root, `user.slice/user-${former}.slice/user@${former}.service/app.slice`);
  for (let count = 0; count < 600; count++)
    mkdirSync(join(app, `libpod-${String(count).padStart(64, '0')}.scope`), { recursive: true });
});
test.after(() => rmSync(root, { recursive: true }));

test('a user whom the policy no longer names is not looked at, once nothing can be taken from him any more', () => {
  let tenants = new Set<string | undefined>();
  const engines = new Engines(root, { commandLine, tenants: () => tenants });
  try {
    engines.attend(of(former));
    assert.match(problem(engines), /too many groups in .*user-60001/, 'he is looked at');
    tenants = new Set([former]);
    engines.attend(of(present));
    assert.match(problem(engines), /too many groups in .*user-60001/, 'he still has something');
    tenants = new Set();
    assert.not.match(problem(engines), /too many groups/);
    engines.attend(of(former));
    assert.match(problem(engines), /too many groups in .*user-60001/, 'he is named again');
  } finally {
    engines.close();
  }
});

test.run();
