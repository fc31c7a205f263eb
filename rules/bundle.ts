// Bundles the program into dist/hotseat: a start loads two files there instead of several hundred, and their code is
// compiled already (agent/start/body.ts). Part of `npm run build`.

import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';
import { heavy } from '../agent/start/heavy.js';
import { options } from '../agent/start/options.js';
import { natives } from './package/dependencies.js';

const checkout = resolve(import.meta.dirname, '../..');
const outdir = join(checkout, 'dist/hotseat');
/** Programs with a process of their own are found beside the program that starts them. */
const programs = ['main', 'udev-child', 'helper', 'holder'];
const bodyNames = [...programs, 'verbs'];

/** Zod's messages in fifty languages, a third of all that would be loaded: ours are English. */
const englishOnly: Plugin = {
  name: 'english only',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: "export { default as en } from './en.js';",
    }));
  },
};

/** Leaves out of a body what heavy verbs load when they run. */
const withoutHeavy: Plugin = {
  name: 'without heavy verbs',
  setup: ({ onLoad, onResolve }) => {
    onResolve({ filter: /./ }, ({ kind, importer, path }) =>
      kind === 'dynamic-import' && heavy.has(basename(importer, '.ts')) ? { path, namespace: 'heavy' } : undefined,
    );
    onLoad({ filter: /./, namespace: 'heavy' }, () => ({
      contents: "throw new Error('a verb that loads this is a heavy one: agent/start/heavy.ts');",
    }));
  },
};

const common = {
  metafile: true,
  absWorkingDir: checkout,
  outdir,
  bundle: true,
  // V8 gives away its form of a script's code, and not that of a module's.
  format: 'cjs',
  platform: 'node',
  target: 'node20.19',
  charset: 'ascii',
  // Every start reads all of it, comments and margins as well: without them it is a third less. Names stay, and lines are
  // short, for readers of a stack trace.
  minifyWhitespace: true,
  minifySyntax: true,
  lineLimit: 160,
} as const satisfies BuildOptions;

/** As a CommonJS module says it. */
const itself = { 'import.meta.dirname': '__dirname', 'import.meta.filename': '__filename' };

const body = {
  ...common,
  entryNames: '[name]-[hash]',
  // A verb runs only its own needs, as it does unbundled: what is imported later runs later.
  supported: { 'dynamic-import': false },
  sourcemap: true,
  external: [...natives],
  // Node's own condition names its CommonJS build, of which nothing can be left out.
  alias: { rxjs: join(checkout, 'node_modules/rxjs/dist/esm/index.js') },
  define: { ...itself, 'import.meta.url': 'ownUrl' },
  banner: {
    js: "(function(exports,require,module,__filename,__dirname){const ownUrl=require('node:url').pathToFileURL(__filename).href;",
  },
  footer: { js: '})' },
} as const satisfies BuildOptions;
const entry = (name: string): string => join('agent/start/programs', `${name}.ts`);
const built = await Promise.all([
  build({ ...body, entryPoints: programs.map(entry), plugins: [englishOnly] }),
  build({ ...body, entryPoints: [entry('verbs')], plugins: [withoutHeavy] }),
]);
const bodies = Object.assign({}, ...built.map(({ metafile }) => metafile.outputs)) as Metafile['outputs'];

const made = new Map(
  Object.entries(bodies).map(([path, { entryPoint = '' }]) => [basename(entryPoint, '.ts'), basename(path)]),
);
const BODIES = JSON.stringify(Object.fromEntries(bodyNames.map((name) => [name, made.get(name)])));

/** A file that Node starts; `from`: its source. */
const begin = async (name: string, from: string): Promise<string[]> => {
  const { metafile } = await build({
    ...common,
    // The names of bodies stay whole.
    lineLimit: 0,
    entryPoints: [{ in: join('agent/start', from), out: name }],
    define: { ...itself, BODIES, PROGRAM: JSON.stringify(name) },
    ...(name === 'main' ? { banner: { js: `#!/usr/bin/env -S ${['node', ...options.main].join(' ')}` } } : {}),
  });
  return Object.keys(metafile.outputs);
};
const begins = await Promise.all([
  ...programs.map((name) => begin(name, 'start.ts')),
  begin('keep-code', 'keep-code.ts'),
]);
chmodSync(join(outdir, 'main.js'), 0o755);
// The program around it is modules.
writeFileSync(join(outdir, 'package.json'), '{ "type": "commonjs" }\n');

// Files that a running program may still load go last.
const ours = new Set([...Object.keys(bodies), ...begins.flat()].map((path) => basename(path)));
for (const name of readdirSync(outdir)) if (name !== 'package.json' && !ours.has(name)) rmSync(join(outdir, name));
execFileSync(process.execPath, [join(outdir, 'keep-code.js')], { stdio: 'inherit' });
