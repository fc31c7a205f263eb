import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { verbs } from '../../agent/cli/verbs.js';
import { heavy } from '../../agent/start/heavy.js';
import { natives } from '../../rules/package/dependencies.js';

const entry = fileURLToPath(new URL('../../agent/cli/main.js', import.meta.url));

/** The static imports of a module, and so on down: paths of ours, names of packages. */
function loaded(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const [, name] of readFileSync(file, 'utf8').matchAll(/^(?:import|export)\s(?:[^'";]*\sfrom\s)?'([^']+)';$/gm)) {
    if (name === undefined || name.startsWith('node:')) continue;
    if (name.startsWith('.')) loaded(join(dirname(file), name), seen);
    else seen.add(name);
  }
  return seen;
}

// `hotseat wait` stands in the way of a container that starts: no verb may pay for the needs of another.
test('the table of verbs loads no package', () => {
  const all = [...loaded(entry)];
  assert.ok(all.length > 30, 'the modules were not found');
  const packages = all.filter((name) => !name.startsWith('/'));
  assert.equal(packages, []);
});

/** The packages that a verb loads when it runs, by the imports in its file and on from there. */
function packagesOf(verb: string): string[] {
  const file = join(dirname(entry), `${{ detach: 'attach', uninstall: 'install' }[verb] ?? verb}.js`);
  const later = [...readFileSync(file, 'utf8').matchAll(/\bimport\('([^']+)'\)/g)].flatMap(([, name = '']) =>
    name.startsWith('.') ? [...loaded(join(dirname(file), name))] : [name],
  );
  // A native part is loaded as it is, by any program.
  return later.filter((name) => !name.startsWith('/') && !natives.some((one) => name === one));
}

test('the verbs that load packages are those whose program has all of them', () => {
  const loading = Object.keys(verbs).filter((verb) => packagesOf(verb).length > 0);
  assert.equal(loading.sort(), [...heavy].sort());
});

test.run();
