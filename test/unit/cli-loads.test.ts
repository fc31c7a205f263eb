import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

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

test.run();
