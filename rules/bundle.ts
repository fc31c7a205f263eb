// Bundles the program into dist/hotseat: a start loads a few files there instead of several hundred. Part of `npm run build`.

import { chmodSync, readdirSync, rmSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { natives } from './package/dependencies.js';

const checkout = resolve(import.meta.dirname, '../..');
const outdir = join(checkout, 'dist/hotseat');
/** Programs with a process of their own are found beside the program that starts them. */
const programs = ['cli/main.ts', 'udev/udev-child.ts', 'kernel/helper.ts', 'holder/holder.ts'];

/** Zod's messages in fifty languages, a third of all that would be loaded: ours are English. */
const englishOnly: Plugin = {
  name: 'english only',
  setup: ({ onLoad }) => {
    onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: "export { default as en } from './en.js';",
    }));
  },
};

const { metafile } = await build({
  metafile: true,
  absWorkingDir: checkout,
  entryPoints: programs.map((path) => join('agent', path)),
  outdir,
  entryNames: '[name]',
  bundle: true,
  // A verb loads only its own needs, as it does unbundled.
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  sourcemap: true,
  // Every start reads all that it loads, comments and margins as well: without them it is a third less. Names stay, and
  // lines are short, for readers of a stack trace.
  minifyWhitespace: true,
  minifySyntax: true,
  lineLimit: 160,
  external: [...natives],
  plugins: [englishOnly],
  // Node's own condition names its CommonJS build, of which nothing can be left out.
  alias: { rxjs: join(checkout, 'node_modules/rxjs/dist/esm/index.js') },
  // The modules of Node that a CommonJS package inside requires.
  banner: { js: "import { createRequire } from 'node:module';\nconst require = createRequire(import.meta.url);" },
});
chmodSync(join(outdir, 'main.js'), 0o755);
// Files that a running program may still load go last.
for (const name of readdirSync(outdir)) {
  if (!(relative(checkout, join(outdir, name)) in metafile.outputs)) rmSync(join(outdir, name));
}
