import { isNode, isScalar, LineCounter, type Node, parseDocument, visit, type YAMLError } from 'yaml';
import type * as z from 'zod';
import type { Diagnostic, Place } from '../core/policy.js';
import { isTooDeep, tooDeep } from './depth.js';
import { type At, explain, type Locate, misspelt, printable } from './explain.js';
import { largest, tooLarge } from './files.js';

export type Parsed<T> = { readonly value: T; readonly place: Locate } | { readonly diagnostics: Diagnostic[] };

/** Faults of a file that a schema alone cannot find. */
interface Checks {
  /** Whether an issue of the schema is to be reported. */
  readonly concerns?: (issue: z.core.$ZodIssue) => boolean;
  readonly more?: (plain: unknown, place: Locate, root: Node | null, at: At) => Diagnostic[];
}

/**
 * A file of ours as the value that its schema describes, or everything that is wrong with it at once, each at its
 * place. `file` is its name for people.
 */
export function readYaml<T extends z.ZodType>(
  file: string,
  text: string,
  schema: T,
  checks: Checks = {},
): Parsed<z.infer<T>> {
  const found = read(file, text, schema, checks);
  return 'diagnostics' in found ? { diagnostics: found.diagnostics.map(printable) } : found;
}

function read<T extends z.ZodType>(file: string, text: string, schema: T, checks: Checks): Parsed<z.infer<T>> {
  const { concerns = () => true, more = () => [] } = checks;
  const lines = new LineCounter();
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col };
  };
  if (text.length > largest) return { diagnostics: [tooLarge(file, text.length, 'characters')] };
  if (isTooDeep(text)) return { diagnostics: [tooDeep(file)] };
  // Before anything of it is repeated in a message: no escape sequence reaches a terminal.
  const control = text.search(/[^\P{Cc}\t\n\r]/u);
  if (control >= 0) {
    const before = text.slice(0, control).split('\n');
    const place = { file, line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
    const code = text.charCodeAt(control).toString(16).padStart(4, '0');
    return { diagnostics: [{ place, message: `a control character, U+${code}`, remedy: 'remove it' }] };
  }
  // `failsafe`: every scalar stays the text that was written, so that the id 0012 does not become the number 12.
  const document = parseDocument(text, { schema: 'failsafe', uniqueKeys: true, strict: true, lineCounter: lines });
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) return { diagnostics: syntax(faults, at) };
  const place = (path: readonly PropertyKey[]): Place => {
    for (let depth = path.length; depth >= 0; depth--) {
      const node: unknown = depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true);
      if (isNode(node) && node.range) return at(node.range[0]);
    }
    return { file, line: 1, column: 1 };
  };
  const strange: Diagnostic[] = [];
  visit(document, {
    Alias: (_, node) => {
      const remedy = 'write it out: aliases are not allowed';
      strange.push({ place: at(node.range?.[0] ?? 0), message: `an alias, *${node.source}`, remedy });
    },
    Pair: (_, { key }) => {
      if (isScalar(key)) return;
      const offset = isNode(key) ? (key.range?.[0] ?? 0) : 0;
      strange.push({ place: at(offset), message: 'a key that is no plain word', remedy: 'write key: value' });
    },
  });
  if (strange.length > 0) return { diagnostics: strange };
  const plain: unknown = document.toJS();
  const checked = schema.safeParse(plain, { reportInput: true });
  const issues = checked.success ? [] : checked.error.issues.filter(concerns);
  const diagnostics = [
    ...issues
      .filter((issue) => !misspelt(issue, issues, schema))
      .flatMap((issue) => explain(issue, schema, place, document.contents, at)),
    ...more(plain, place, document.contents, at),
  ].sort((a, b) => a.place.line - b.place.line || a.place.column - b.place.column);
  if (diagnostics.length > 0 || !checked.success) return { diagnostics };
  return { value: checked.data, place };
}

/** One mistake can make everything behind it wrong: no more than this many are told of. */
const mostFaults = 10;

function syntax(faults: readonly YAMLError[], at: At): Diagnostic[] {
  const told = faults.map((fault): Diagnostic => {
    const message = fault.message.split('\n')[0]?.replace(/ at line .*$/, '') ?? 'not YAML';
    return { place: at(fault.pos[0]), message, ...(plainly(fault) ?? { remedy: 'mend the YAML' }) };
  });
  const once = new Map(told.map((one) => [`${one.place.line}:${one.place.column} ${one.message}`, one]));
  return [...once.values()].slice(0, mostFaults);
}

/** In the words of people who write a file, where the library's are those of people who read the standard. */
function plainly({ code, message }: YAMLError): (Partial<Diagnostic> & { readonly remedy: string }) | undefined {
  switch (code) {
    case 'DUPLICATE_KEY':
      return { message: 'this key is there twice', remedy: 'remove one of them' };
    case 'MULTIPLE_DOCS':
      return { message: 'a second document begins here', remedy: 'write a file for each' };
    case 'TAB_AS_INDENT':
      return { message: 'a tab', remedy: 'indent with spaces' };
    case 'TAG_RESOLVE_FAILED':
      return {
        message: `a tag, ${message.split(': ')[1] ?? ''}`.replace(/ at line.*$/s, ''),
        remedy: 'remove it: values are texts',
      };
    default:
      return undefined;
  }
}
