import { isDeepStrictEqual } from 'node:util';
import type { Node } from 'yaml';
import type * as z from 'zod';
import { attributeNames } from '../core/device.js';
import type { Diagnostic, Place } from '../core/policy.js';
import { nearest } from './nearest.js';
import { matchKeys, negatableKeys, propertyName, unfitProperty } from './schema.js';
import { keysAt } from './shape.js';
import { asProperty, udevKey } from './udev-keys.js';

/** A key can hold anything by YAML's own escapes, and messages name keys; none of that reaches a terminal as it is. */
export const printable = ({ place, message, remedy }: Diagnostic): Diagnostic => {
  const visible = (text: string): string =>
    text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
  return { place, message: visible(message), remedy: visible(remedy) };
};

/** Faults in the value of an unknown key are of no interest: the key itself is reported. */
export function known({ path }: z.core.$ZodIssue): boolean {
  if (path[0] !== 'devices' || path[2] !== 'match') return true;
  const negated = path[3] === 'not' && path.length > 4;
  const key = negated ? path[4] : path[3];
  if (typeof key === 'string' && udevKey(key, undefined) !== undefined) return false;
  return typeof key !== 'string' || propertyName.test(key) || (negated ? negatableKeys : matchKeys).includes(key);
}

export type Locate = (path: readonly PropertyKey[]) => Place;
export type At = (offset: number) => Place;

export function explain(
  issue: z.core.$ZodIssue,
  schema: z.ZodType,
  place: Locate,
  root: Node | null,
  at: At,
): Diagnostic[] {
  const here = place(issue.path);
  const named = name(issue.path);
  if (missing(issue)) {
    return [{ place: here, message: `${named} is missing`, remedy: `add it: it takes ${taken(issue)}` }];
  }
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) =>
        unknownKey(keyPlace(root, [...issue.path, key], at) ?? here, key, keysAt(schema, issue.path)),
      );
    case 'invalid_value':
      return [{ place: here, message: `${named} is not one of its values`, remedy: `use ${taken(issue)}` }];
    case 'invalid_union': {
      // All unions are a value or a list of values: the written form shows the intended one.
      const branch = issue.errors[Array.isArray(issue.input) ? 1 : 0] ?? [];
      return branch.flatMap((inner) => {
        const whole = { ...inner, path: [...issue.path, ...inner.path] } as z.core.$ZodIssue;
        return explain(whole, schema, place, root, at);
      });
    }
    case 'invalid_type':
      return [{ place: here, message: `${named} is of the wrong form`, remedy: `it takes ${taken(issue)}` }];
    case 'too_small':
    case 'too_big': {
      const units = issue.origin === 'array' ? 'entries' : 'characters';
      const [many, bound] =
        issue.code === 'too_big' ? ['many', `most ${issue.maximum}`] : ['few', `least ${issue.minimum}`];
      return [{ place: here, message: `${named} has too ${many} ${units}`, remedy: `at ${bound}` }];
    }
    default: {
      // Our own messages name the fault, and behind a colon the remedy.
      const [, message = issue.message, remedy = 'correct the value'] = /^(.*?): (.*)$/s.exec(issue.message) ?? [];
      return [{ place: here, message: `${named} ${message}`, remedy }];
    }
  }
}

const name = (path: readonly PropertyKey[]): string => {
  const last = path.filter((part) => typeof part === 'string').at(-1);
  if (last === undefined) return path.length === 0 ? 'the file' : 'an entry of the file';
  return typeof path.at(-1) === 'number' ? `an entry of "${last}"` : `"${last}"`;
};

/** The allowed values at the place of an issue, in words. */
function taken(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_value':
      return issue.values.map(String).join(', ');
    case 'invalid_union':
      return `${taken(issue.errors[0]?.[0] ?? issue)}, or a list of such`;
    case 'invalid_type':
      return form(issue.expected);
    default:
      return 'something else';
  }
}

const form = (expected: string): string =>
  ({ object: 'a mapping (key: value)', array: 'a list', string: 'a text', record: 'a mapping (key: value)' })[
    expected
  ] ?? expected;

/** Whether a key is missing only because it was misspelt: the unknown key is reported, with the intended one. */
export function misspelt(issue: z.core.$ZodIssue, issues: readonly z.core.$ZodIssue[], schema: z.ZodType): boolean {
  if (!missing(issue)) return false;
  const mapping = issue.path.slice(0, -1);
  return issues.some(
    (other) =>
      other.code === 'unrecognized_keys' &&
      isDeepStrictEqual(other.path, mapping) &&
      other.keys.some((key) => nearest(key, keysAt(schema, mapping)) === issue.path.at(-1)),
  );
}

const missing = (issue: z.core.$ZodIssue): boolean =>
  'input' in issue && issue.input === undefined && issue.path.length > 0;

/** Keys of a match that are neither ours nor look like a udev property. */
export function unknownProperties(plain: unknown, place: Locate, root: Node | null, at: At): Diagnostic[] {
  const devices = (plain as { devices?: unknown } | null)?.devices;
  if (!Array.isArray(devices)) return [];
  return devices.flatMap((device: unknown, index) => {
    const match = (device as { match?: unknown } | null)?.match;
    return [
      ...strange(match, ['devices', index, 'match'], matchKeys),
      ...strange(
        (match as { not?: unknown } | null | undefined)?.not,
        ['devices', index, 'match', 'not'],
        negatableKeys,
      ),
    ];
  });

  function strange(match: unknown, path: readonly PropertyKey[], known: readonly string[]): Diagnostic[] {
    if (typeof match !== 'object' || match === null || Array.isArray(match)) return [];
    return Object.keys(match)
      .filter((key) => !known.includes(key))
      .flatMap((key) => {
        const where = keyPlace(root, [...path, key], at) ?? place(path);
        const never = udevKey(key, (match as Readonly<Record<string, unknown>>)[key], known === negatableKeys);
        if (never !== undefined) return [{ place: where, ...never }];
        if (!propertyName.test(key)) return [unknownKey(where, key, known)];
        const ours = key.toLowerCase();
        if (known.includes(ours)) {
          const message = `no device has a property ${key}`;
          return [{ place: where, message, remedy: `write ${ours}: this key is in small letters` }];
        }
        const unfit = unfitProperty(key);
        const [message = '', remedy = ''] = unfit?.split(': ') ?? [];
        return unfit === undefined ? [] : [{ place: where, message: `${key} ${message}`, remedy }];
      });
  }
}

function unknownKey(place: Place, key: string, known: readonly string[]): Diagnostic {
  const message = `unknown key ${JSON.stringify(key)}`;
  if (known === negatableKeys && matchKeys.includes(key)) {
    return { place, message, remedy: `only ${negatableKeys.join(', ')} and properties can be negated` };
  }
  const meant = meantFor(key, known);
  if (meant !== undefined) return { place, message, remedy: meant };
  const near = nearest(key, known);
  const properties =
    known === matchKeys || known === negatableKeys ? '; udev properties are written in upper case' : '';
  return { place, message, remedy: near === undefined ? `remove it${properties}` : `did you mean "${near}"?` };
}

/** The probable intention behind an attribute in a wrong place, or a property in small letters. */
function meantFor(key: string, known: readonly string[]): string | undefined {
  if (known === matchKeys && attributeNames.includes(key)) return `write it below attr: attr: { ${key}: … }`;
  if (known === negatableKeys && attributeNames.includes(key)) {
    const property = asProperty[key];
    if (property !== undefined) return `attributes cannot be negated: write ${property}`;
    // The kernel says these of an input as properties as well, in quotes.
    if (/^(name|phys|uniq)$/.test(key)) return `attributes cannot be negated: write ${key.toUpperCase()}: "?…?"`;
    return `only ${negatableKeys.join(', ')} and properties can be negated`;
  }
  const upper = key.toUpperCase();
  return (known === matchKeys || known === negatableKeys) && /^ID_/.test(upper) && propertyName.test(upper)
    ? `write ${upper}: udev properties are written in upper case`
    : undefined;
}

/** Where a key itself stands, not its value. */
function keyPlace(root: Node | null, path: readonly PropertyKey[], at: At): Place | undefined {
  let node: unknown = root;
  for (const [depth, part] of path.entries()) {
    const items = (node as { items?: readonly unknown[] } | null)?.items;
    if (items === undefined) return undefined;
    if (typeof part === 'number') {
      node = items[part];
      continue;
    }
    const pair = items.find((item) => String((item as { key?: { value?: unknown } }).key?.value) === part) as
      | { key: { range?: readonly [number, number, number] }; value: unknown }
      | undefined;
    if (depth === path.length - 1) return pair?.key.range ? at(pair.key.range[0]) : undefined;
    node = pair?.value;
  }
  return undefined;
}
