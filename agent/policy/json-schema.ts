import { parse } from 'yaml';
import * as z from 'zod';
import { fixtureFile } from './fixture.js';
import { hostFile, numbers, propertyName, seatFile, unfitProperties } from './schema.js';
import { testFile } from './test-file.js';

/** The files that people write, by the word for each. */
export const definitions = { seat: seatFile, host: hostFile, tests: testFile, device: fixtureFile } as const;
export type Definition = keyof typeof definitions;

/**
 * The JSON Schema of a file, for editors. It takes every file that the agent takes; what only the agent can know, such as
 * two seats of one name, it lets through.
 */
export const jsonSchema = (name: Definition): object =>
  z.toJSONSchema(definitions[name], {
    override: ({ zodSchema, jsonSchema: made, path }) => {
      if (path.includes('propertyNames')) return;
      asEditorsRead(made, zodSchema);
      if (zodSchema instanceof z.ZodObject && typeof made.additionalProperties === 'object') onlyProperties(made);
    },
  });

/** Not every reader of JSON Schema knows classes of Unicode; these are most of their characters. */
const invisible = '\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}';
const portable =
  '\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2064\\u2066-\\u206f\\ufeff';

type Made = z.core.JSONSchema.BaseSchema;

/**
 * To us every scalar is the text that was written; an editor reads YAML by its core schema, in which 0012 is a number and
 * nothing at all is null.
 */
function asEditorsRead(made: Made, schema: z.core.$ZodType): void {
  if (made.type !== 'string') return;
  for (const part of [made, ...(made.allOf ?? [])]) {
    if (typeof part.pattern === 'string') part.pattern = part.pattern.replace(invisible, () => portable);
  }
  if (made.enum !== undefined) {
    const read = made.enum.map((text) => parse(String(text)) as string | number | boolean);
    made.enum = [...new Set([...read, ...made.enum])];
    if (read.some((value) => typeof value !== 'string')) delete made.type;
    return;
  }
  Object.assign(made, numbers.get(schema));
  const types: ('string' | 'number' | 'boolean' | 'null')[] = ['string', 'number', 'boolean'];
  if (z.safeParse(schema, '').success) types.push('null');
  (made as { type?: unknown }).type = types;
}

/** Keys of a match that are not ours are udev properties, but for those that cannot be matched. */
function onlyProperties(made: Made): void {
  made.patternProperties = {
    [propertyName.source]: made.additionalProperties ?? {},
    ...Object.fromEntries(unfitProperties.map(({ names }) => [names.source, false])),
  };
  made.additionalProperties = false;
}
