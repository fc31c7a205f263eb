import { isNode, LineCounter, type Node, parseDocument } from 'yaml';
import type { z } from 'zod';
import type { Condition, Diagnostic, Kind, Place, Rule, SeatPolicy } from '../core/policy.js';
import { nearest } from './nearest.js';
import { type HostFile, hostFile, type MatchFile, matchKeys, propertyName, type SeatFile, seatFile } from './schema.js';

/** Largest seat file, characters. */
const largest = 256 * 1024;

type Parsed<T> =
  | { readonly value: T; readonly place: (path: readonly PropertyKey[]) => Place }
  | { readonly diagnostics: Diagnostic[] };

/** A seat file's text as a policy, or everything that is wrong with it at once. `file` is its name for people. */
export function parseSeat(
  file: string,
  text: string,
): { readonly seat: SeatPolicy; readonly place: Place } | { readonly diagnostics: Diagnostic[] } {
  const parsed = parse(file, text, seatFile);
  if ('diagnostics' in parsed) return parsed;
  const { value, place } = parsed;
  const seat: SeatPolicy = {
    seat: value.seat,
    container: value.container,
    rules: value.devices.map((rule, index) => toRule(rule, place(['devices', index]))),
    file,
  };
  return { seat, place: place(['seat']) };
}

/** `host.yaml`: what the host does with its own consoles. */
export function parseHost(file: string, text: string): HostFile | { readonly diagnostics: Diagnostic[] } {
  const parsed = parse(file, text, hostFile);
  return 'diagnostics' in parsed ? parsed : parsed.value;
}

function parse<T extends z.ZodType>(file: string, text: string, schema: T): Parsed<z.infer<T>> {
  const lines = new LineCounter();
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col };
  };
  if (text.length > largest) {
    const place = { file, line: 1, column: 1 };
    return {
      diagnostics: [
        { place, message: `the file has ${text.length} characters`, remedy: `split it: at most ${largest}` },
      ],
    };
  }
  // `failsafe`: every scalar stays the text that was written, so that the id 0012 does not become the number 12.
  const document = parseDocument(text, { schema: 'failsafe', uniqueKeys: true, strict: true, lineCounter: lines });
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) {
    return {
      diagnostics: faults.map((fault) => ({
        place: at(fault.pos[0]),
        message: fault.message.split('\n')[0]?.replace(/ at line .*$/, '') ?? 'not YAML',
        remedy: 'mend the YAML',
      })),
    };
  }
  const place = (path: readonly PropertyKey[]): Place => {
    for (let depth = path.length; depth >= 0; depth--) {
      const node: unknown = depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true);
      if (isNode(node) && node.range) return at(node.range[0]);
    }
    return { file, line: 1, column: 1 };
  };
  let plain: unknown;
  try {
    plain = document.toJS({ maxAliasCount: 0 });
  } catch (error) {
    return {
      diagnostics: [
        { place: place([]), message: (error as Error).message, remedy: 'write it out: aliases are not allowed' },
      ],
    };
  }
  const checked = schema.safeParse(plain);
  const diagnostics = [
    ...(checked.success ? [] : checked.error.issues.flatMap((issue) => explain(issue, place, document.contents, at))),
    ...unknownProperties(plain, place, document.contents, at),
  ].sort((a, b) => a.place.line - b.place.line || a.place.column - b.place.column);
  if (diagnostics.length > 0 || !checked.success) return { diagnostics };
  return { value: checked.data, place };
}

type Locate = (path: readonly PropertyKey[]) => Place;
type At = (offset: number) => Place;

function explain(issue: z.core.$ZodIssue, place: Locate, root: Node | null, at: At): Diagnostic[] {
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) =>
        unknownKey(keyPlace(root, [...issue.path, key], at) ?? place(issue.path), key, []),
      );
    case 'invalid_value':
      return [
        {
          place: place(issue.path),
          message: `${name(issue.path)} is not one of its values`,
          remedy: `use ${issue.values.map(String).join(', ')}`,
        },
      ];
    case 'invalid_union': {
      const first = issue.errors.flat().find((inner) => inner.code !== 'invalid_type') ?? issue.errors[0]?.[0];
      if (first === undefined) return [{ place: place(issue.path), message: name(issue.path), remedy: issue.message }];
      return explain({ ...first, path: [...issue.path, ...first.path] } as z.core.$ZodIssue, place, root, at);
    }
    case 'invalid_type':
      return [
        {
          place: place(issue.path),
          message: `${name(issue.path)} is missing or of the wrong form`,
          remedy: `it takes ${form(issue.expected)}`,
        },
      ];
    default:
      return [
        { place: place(issue.path), message: `${name(issue.path)} ${issue.message}`, remedy: 'correct the value' },
      ];
  }
}

const name = (path: readonly PropertyKey[]): string => {
  const last = path.filter((part) => typeof part === 'string').at(-1);
  return last === undefined ? 'the file' : `"${last}"`;
};

const form = (expected: string): string =>
  ({ object: 'a mapping (key: value)', array: 'a list', string: 'a text', record: 'a mapping (key: value)' })[
    expected
  ] ?? expected;

/** Keys of a match that are neither ours nor look like a udev property. */
function unknownProperties(plain: unknown, place: Locate, root: Node | null, at: At): Diagnostic[] {
  const devices = (plain as { devices?: unknown } | null)?.devices;
  if (!Array.isArray(devices)) return [];
  return devices.flatMap((device: unknown, index) => {
    const match = (device as { match?: unknown } | null)?.match;
    return [
      ...strange(match, ['devices', index, 'match']),
      ...strange((match as { not?: unknown } | null | undefined)?.not, ['devices', index, 'match', 'not']),
    ];
  });

  function strange(match: unknown, path: readonly PropertyKey[]): Diagnostic[] {
    if (typeof match !== 'object' || match === null) return [];
    return Object.keys(match)
      .filter((key) => !matchKeys.includes(key) && !propertyName.test(key))
      .map((key) => unknownKey(keyPlace(root, [...path, key], at) ?? place(path), key, matchKeys));
  }
}

function unknownKey(place: Place, key: string, known: readonly string[]): Diagnostic {
  const near = nearest(
    key,
    known.length > 0
      ? known
      : ['seat', 'container', 'devices', 'label', 'match', 'share', 'revoke', 'engine', 'name', 'console'],
  );
  const remedy =
    near === undefined ? 'remove it; udev properties are written in upper case' : `did you mean "${near}"?`;
  return { place, message: `unknown key ${JSON.stringify(key)}`, remedy };
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

function toRule(rule: SeatFile['devices'][number], place: Place): Rule {
  const { not, attr, ...rest } = rule.match;
  return {
    label: rule.label,
    place,
    conditions: [
      ...conditions(rest, false),
      ...Object.entries(attr ?? {}).map(([key, value]): Condition => ({ on: 'attribute', key, patterns: list(value) })),
      ...(not === undefined ? [] : conditions(not, true)),
    ],
    share: rule.share === 'true',
    revoke: rule.revoke ?? 'auto',
  };
}

function conditions(match: Omit<MatchFile, 'not' | 'attr'>, negate: boolean): Condition[] {
  const { subsystem, sysname, kind, port, ...properties } = match;
  return [
    ...(subsystem === undefined ? [] : [{ on: 'subsystem' as const, patterns: list(subsystem), negate }]),
    ...(kind === undefined ? [] : [{ on: 'kind' as const, patterns: list(kind as Kind | Kind[]), negate }]),
    ...(port === undefined ? [] : [{ on: 'port' as const, patterns: list(port), negate }]),
    ...(sysname === undefined ? [] : [{ on: 'sysname' as const, patterns: list(sysname), negate }]),
    ...Object.entries(properties).map(
      ([key, value]): Condition => ({ on: 'property', key, patterns: list(value as string | string[]), negate }),
    ),
  ];
}

const list = <T>(value: T | readonly T[]): readonly T[] =>
  Array.isArray(value) ? (value as readonly T[]) : [value as T];
