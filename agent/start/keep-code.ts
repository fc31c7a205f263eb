// Keeps V8's form of each program's code beside it, unless it is there and good for this Node. `npm run build`, the package
// and `hotseat install` run this. Usage: node keep-code.js

import { execFileSync } from 'node:child_process';
import { closeSync, fsyncSync, openSync, readdirSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { bodies, codeEnding, codeOf, type ProgramName, programOf, scriptOf } from './body.js';
import { options } from './options.js';

const directory = import.meta.dirname;
/** For one program; it takes about a second, ms. */
const longest = 60_000;
const programs = Object.keys(bodies) as ProgramName[];

/** Whether V8 takes the code that is there. */
const isGood = (name: ProgramName): boolean => scriptOf(directory, name).cachedDataRejected === false;

/** In a process of its own, with the program's options, that ends afterwards: the program has run in it. */
async function keep(name: ProgramName): Promise<void> {
  if (isGood(name)) return;
  const script = scriptOf(directory, name, undefined);
  await programOf(script, directory, name).warm();
  put(codeOf(directory, name), script.createCachedData());
  process.exit(0);
}

/** A program that starts meanwhile, or after a power cut, has the whole file or none. */
function put(file: string, content: Buffer): void {
  const written = `${file}.${process.pid}`;
  const fd = openSync(written, 'w', 0o644);
  writeSync(fd, content);
  fsyncSync(fd);
  closeSync(fd);
  renameSync(written, file);
}

/** Code of former bodies, and for a former Node. */
function tidy(): void {
  const ours = new Set(programs.map((name) => basename(codeOf(directory, name))));
  for (const name of readdirSync(directory)) {
    if (name.includes(codeEnding) && !ours.has(name)) rmSync(join(directory, name));
  }
}

const only = programs.find((name) => name === process.argv[2]);
if (only !== undefined) void keep(only);
else {
  tidy();
  for (const name of programs) {
    const words = [...options[name], import.meta.filename, name];
    execFileSync(process.execPath, words, {
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: longest,
      killSignal: 'SIGKILL',
    });
  }
}
