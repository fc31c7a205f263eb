import * as z from 'zod';
import { type Definition, definitions } from './json-schema.js';
import { numbers } from './schema.js';
import { inner } from './shape.js';

const titles: Readonly<Record<Definition, string>> = {
  seat: 'Seat files',
  host: 'The host file',
  tests: 'Tests',
  device: 'Recorded devices',
};

/** All keys of all files as Markdown, made from the validator's tables. */
export function reference(): string {
  const parts = (Object.keys(definitions) as Definition[]).map((name) => {
    const schema: z.core.$ZodType = definitions[name];
    const rows = rowsOf(schema, '').map(({ key, takes, meaning }) => `| ${key} | ${takes} | ${meaning} |`);
    return [`## ${titles[name]}`, '', meaningOf(schema), '', '| key | takes | meaning |', '|---|---|---|', ...rows, ''];
  });
  return ['# The files of a policy', '', ...parts.flat()].join('\n');
}

interface Row {
  readonly key: string;
  readonly takes: string;
  readonly meaning: string;
}

/** The keys of a mapping, or of the mappings of a list, and of the mappings below them. */
function rowsOf(schema: z.core.$ZodType, prefix: string): Row[] {
  const here = inner(schema);
  if (here instanceof z.ZodArray) return rowsOf(here.def.element, prefix);
  if (!(here instanceof z.ZodObject)) return [];
  const shape = here.shape as Readonly<Record<string, z.core.$ZodType>>;
  const named = Object.entries(shape).flatMap(([key, member]): Row[] => {
    const needed = z.safeParse(member, undefined).success ? '' : ', needed';
    const row = { key: `\`${prefix}${key}\``, takes: `${takesOf(member)}${needed}`, meaning: meaningOf(member) };
    return [row, ...(repeats(member, shape) ? [] : rowsOf(member, `${prefix}${key}.`))];
  });
  const others = here.def.catchall;
  if (others === undefined || others instanceof z.ZodNever) return named;
  return [...named, { key: `\`${prefix}PROPERTY\``, takes: takesOf(others), meaning: meaningOf(others) }];
}

/** `not` takes the same keys as the mapping around it. The page says so once. */
function repeats(member: z.core.$ZodType, shape: Readonly<Record<string, unknown>>): boolean {
  const below = inner(member);
  return below instanceof z.ZodObject && Object.keys(below.shape).every((key) => Object.hasOwn(shape, key));
}

function takesOf(schema: z.core.$ZodType): string {
  const here = inner(schema);
  if (numbers.has(here)) return 'a number';
  if (here instanceof z.ZodUnion) return `${takesOf(here.options[0] as z.core.$ZodType)}, or a list`;
  if (here instanceof z.ZodEnum) return here.options.map((option) => `\`${option}\``).join(', ');
  if (here instanceof z.ZodArray) return 'a list';
  if (here instanceof z.ZodObject || here instanceof z.ZodRecord) return 'a mapping';
  return 'a text';
}

/** A vertical bar would end the cell of a table. */
const meaningOf = (schema: z.core.$ZodType): string =>
  (z.globalRegistry.get(schema)?.description ?? z.globalRegistry.get(inner(schema))?.description ?? '').replaceAll(
    '|',
    '\\|',
  );
