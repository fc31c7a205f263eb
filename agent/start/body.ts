// A program of the bundle is a short file that Node starts, NAME.js, and a body: all of its code, as one function. Beside
// the body lies V8's own form of it, so that a start need not compile what an earlier one has compiled.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Script } from 'node:vm';

/** `verbs` has no file of its own: main.js takes it for the verbs that need no more (heavy.ts). */
export type ProgramName = 'main' | 'verbs' | 'helper' | 'udev-child' | 'holder';

/**
 * The file of each program's body; rules/bundle.ts fills them in. The name has a hash of the content: V8 itself tells
 * bodies apart by their lengths alone.
 */
declare const BODIES: Readonly<Record<ProgramName, string>>;
export const bodies = BODIES;

export interface Program {
  start(): Promise<unknown>;
  /** Runs much of what a start runs, and changes nothing: V8 has compiled it then. */
  warm(): Promise<unknown>;
}

type Body = (
  exports: object,
  require: NodeJS.Require,
  module: { readonly exports: object },
  filename: string,
  dirname: string,
) => void;

export const codeEnding = '.code';

/** Its name says for which Node it is. It is trusted as much as the program beside it: those who can write one can write the other. */
export const codeOf = (directory: string, name: ProgramName): string =>
  join(directory, `${bodies[name]}.${process.version}-${process.arch}${codeEnding}`);

/**
 * The program, not yet run. V8 rejects code that another version made, or other options of it, and compiles then as if
 * there were none (v8, SerializedCodeData::SanityCheck).
 */
export function scriptOf(directory: string, name: ProgramName, code = read(codeOf(directory, name))): Script {
  const filename = join(directory, bodies[name]);
  // A body is ASCII alone (rules/bundle.ts), and this is the quickest way to read that.
  const source = readFileSync(filename, 'latin1');
  return new Script(source, code === undefined ? { filename } : { filename, cachedData: code });
}

/** Runs a body as Node runs a module: it knows itself by the name of the short file. */
export function programOf(script: Script, directory: string, name: ProgramName): Program {
  const filename = join(directory, name === 'verbs' ? 'main.js' : `${name}.js`);
  const module = { exports: {} };
  const body = script.runInThisContext() as Body;
  body(module.exports, createRequire(filename), module, filename, directory);
  return module.exports as Program;
}

function read(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}
