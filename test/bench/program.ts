import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { checkout } from '../lab/driver/paths.js';
import { type Base, baseOf } from './base.js';
import type { Help, Options } from './options.js';
import { progress, type Say } from './progress.js';
import type { Result } from './result.js';
import { tableText } from './table.js';

/**
 * A bench as a program. `ask`: what it was asked for. `measure`: measures this checkout and, when there is one, another tree
 * beside it. `more`: what is made of the result beside the table and the JSON file.
 */
export async function program(
  ask: () => Options | Help,
  measure: (options: Options, base: Base | undefined, say: Say) => Promise<Result>,
  more: (result: Result, options: Options) => void = () => undefined,
): Promise<void> {
  let base: Base | undefined;
  try {
    const options = ask();
    if ('help' in options) return console.log(options.help);
    const { say, end } = progress(options.quiet);
    if (options.base !== undefined) base = await baseOf(checkout, options.base, say);
    const result = await measure(options, base, say);
    end();
    console.log(tableText(result));
    if (options.json !== undefined) write(options.json, `${JSON.stringify(result, undefined, 1)}\n`);
    more(result, options);
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`);
    process.exitCode = 1;
  } finally {
    await base?.remove();
  }
}

export function write(file: string, text: string): void {
  mkdirSync(dirname(resolve(file)), { recursive: true });
  writeFileSync(file, text);
}
