import { parseArgs } from 'node:util';
import type { Call, Verb } from './verb.js';

/** A verb's arguments, parsed, or the mistake in them. `--help` is an option of every verb. */
export function parse(verb: Pick<Verb, 'options'>, args: readonly string[]): Call | string {
  const options = Object.fromEntries(Object.entries(verb.options).map(([key, { type }]) => [key, { type }]));
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { ...options, help: { type: 'boolean', short: 'h' } },
      allowPositionals: true,
    });
    return { options: values, words: positionals };
  } catch (error) {
    return (error as Error).message;
  }
}
