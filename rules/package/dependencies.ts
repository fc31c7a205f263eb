import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Named as dependencies by packages that need them to be compiled or typed, never to run. */
const notToRun = new Set(['@mapbox/node-pre-gyp', 'node-addon-api', '@types/w3c-web-usb']);

/** With compiled parts, which they look for beside themselves: they cannot be bundled (see `bundle.ts`). */
export const natives = ['koffi', 'udev', 'usb'] as const;

/**
 * Directories of all npm packages that the program needs at run time, as Node would find them from `root`; `only`: of
 * these and of their own dependencies.
 */
export function runtimePackages(root: string, only?: readonly string[]): string[] {
  const found = new Set<string>();
  const visit = (directory: string): void => {
    const manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest;
    const { dependencies = {}, optionalDependencies = {} } = manifest;
    for (const name of [...Object.keys(dependencies), ...Object.keys(optionalDependencies)]) {
      if (notToRun.has(name) || (directory === root && only?.includes(name) === false)) continue;
      const at = locate(directory, name, root);
      // Optional ones are there for this machine's kind only.
      if (at === undefined && name in optionalDependencies) continue;
      if (at === undefined) throw new Error(`${name}, which ${directory} needs, is not installed: npm ci`);
      if (found.has(at)) continue;
      found.add(at);
      visit(at);
    }
  };
  visit(root);
  return [...found].sort();
}

function locate(from: string, name: string, root: string): string | undefined {
  for (let at = from; at.startsWith(root); at = dirname(at)) {
    const directory = join(at, 'node_modules', name);
    if (existsSync(join(directory, 'package.json'))) return directory;
  }
  return undefined;
}
