import type { Definition } from '../policy/json-schema.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat schema`: made from the validator's own tables, so that both always agree. */
export const schema: Verb = {
  summary: 'print the JSON Schema of seat files for editors, or a reference of all keys',
  usage: 'schema [seat|host|tests|device] [--markdown]',
  options: { markdown: { type: 'boolean', help: 'all keys of all files, for people' } },
  examples: [
    { line: 'schema seat', help: 'for a line of a seat file: # yaml-language-server: $schema=seat.schema.json' },
    { line: 'schema tests', help: 'the same for tests' },
    { line: 'schema --markdown', help: 'a page that explains every key' },
  ],
  run: async ({ options, words }: Call): Promise<ExitCode> => {
    if (options['markdown'] === true) {
      const { reference } = await import('../policy/reference.js');
      process.stdout.write(reference());
      return 0;
    }
    const { definitions, jsonSchema } = await import('../policy/json-schema.js');
    const name = words[0] ?? 'seat';
    if (!Object.hasOwn(definitions, name)) {
      throw new Error(`there is no file of the kind ${JSON.stringify(name)}: ${Object.keys(definitions).join(', ')}`);
    }
    process.stdout.write(`${JSON.stringify(jsonSchema(name as Definition), undefined, 2)}\n`);
    return 0;
  },
};
