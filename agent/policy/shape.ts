import * as z from 'zod';

/** The schema inside an optional one. */
export const inner = (schema: z.core.$ZodType): z.core.$ZodType =>
  schema instanceof z.ZodOptional ? inner(schema.def.innerType) : schema;

/** The schemas at a path: several where a union leaves it open. */
export function schemasAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): z.core.$ZodType[] {
  const here = inner(schema);
  if (here instanceof z.ZodUnion) return here.options.flatMap((option) => schemasAt(option, path));
  const [part, ...rest] = path;
  if (part === undefined) return [here];
  if (here instanceof z.ZodArray) return schemasAt(here.def.element, rest);
  if (here instanceof z.ZodRecord) return schemasAt(here.def.valueType, rest);
  if (!(here instanceof z.ZodObject)) return [];
  const member = (here.shape as Readonly<Record<string, z.core.$ZodType>>)[String(part)] ?? here.def.catchall;
  return member === undefined ? [] : schemasAt(member, rest);
}

/** The keys that a mapping at a path may have by name, in the order of the schema. */
export const keysAt = (schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] => [
  ...new Set(
    schemasAt(schema, path).flatMap((found) => (found instanceof z.ZodObject ? Object.keys(found.shape) : [])),
  ),
];

/**
 * Where a key of a mapping belongs among the others. Keys that have no name in the schema (udev properties) come where
 * those with a mapping for a value begin.
 */
export function ranks(schemas: readonly z.core.$ZodType[]): (key: string) => number {
  const members = schemas.flatMap((schema) => (schema instanceof z.ZodObject ? Object.entries(schema.shape) : []));
  const names = members.map(([name]) => name);
  const deep = members.findIndex(([, member]) => isMapping(inner(member as z.core.$ZodType)));
  const others = deep < 0 ? names.length : deep;
  return (key) => (names.includes(key) ? names.indexOf(key) : others - 0.5);
}

const isMapping = (schema: z.core.$ZodType): boolean => schema instanceof z.ZodObject || schema instanceof z.ZodRecord;
