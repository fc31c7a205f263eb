import { basename } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import {
  Document,
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  Scalar,
  visit,
  type YAMLMap,
  YAMLSeq,
} from 'yaml';
import * as z from 'zod';
import type { Diagnostic } from '../core/policy.js';
import { isTooDeep, tooDeep } from './depth.js';
import { problem } from './files.js';
import { fixtureFile, parseFixture } from './fixture.js';
import { parseHost, parseSeat } from './parse.js';
import { printDocument } from './print.js';
import { hostFile, numbers, seatFile } from './schema.js';
import { ranks, schemasAt } from './shape.js';
import { parseTests, testFile } from './test-file.js';

/** Longest line that a mapping or a list is put on. */
const widest = 120;

interface Kind {
  readonly schema: z.ZodType;
  readonly check: (file: string, text: string) => object;
  /** Recorded devices have a line for each property, so that two of them can be compared. */
  readonly flow: boolean;
}

const kinds: Readonly<Record<'seat' | 'host' | 'tests' | 'device', Kind>> = {
  seat: { schema: seatFile, check: parseSeat, flow: true },
  host: { schema: hostFile, check: parseHost, flow: true },
  tests: { schema: testFile, check: parseTests, flow: true },
  device: { schema: fixtureFile, check: parseFixture, flow: false },
};

/** The kind of a file, by its content and its name. */
function kindOf(file: string, contents: unknown): Kind {
  if (isSeq(contents)) return kinds.tests;
  if (isMap(contents) && contents.has('format')) return kinds.device;
  return basename(file) === 'host.yaml' ? kinds.host : kinds.seat;
}

/**
 * A file in its one canonical form: keys in the order of the schema, two spaces, short values on one line, comments
 * where they were. Its meaning stays exactly the same. A file with errors is not touched.
 */
export function formatText(
  file: string,
  text: string,
): { readonly text: string } | { readonly diagnostics: readonly Diagnostic[] } {
  if (isTooDeep(text)) return { diagnostics: [tooDeep(file)] };
  const document = parseDocument(text, { schema: 'failsafe' });
  const kind = kindOf(file, document.contents);
  const checked = kind.check(file, text);
  if ('diagnostics' in checked) return { diagnostics: checked.diagnostics as Diagnostic[] };
  const meaning: unknown = document.toJS();
  bare(document as Document<Node>);
  // This schema quotes every text that another reader would take for a number or for nothing.
  document.setSchema('1.2', { schema: 'core' });
  lower(document.contents as Node);
  order(document.contents as Node, [kind.schema], true);
  layout(document.contents, document.contents as Node, { indent: 0, start: 0 }, kind.flow, true);
  const formatted = printDocument(document as Document<Node>);
  const after: unknown = parseDocument(formatted, { schema: 'failsafe' }).toJS();
  if (!isDeepStrictEqual(after, meaning)) {
    return { diagnostics: [problem(file, 'cannot be formatted without a change of its meaning', 'report this file')] };
  }
  return { text: formatted };
}

/** A comment between a key and its one word is put above the key. */
const aboveKey = (_: unknown, { key, value }: Pair): void => {
  if (!isNode(key) || !isScalar(value) || typeof value.commentBefore !== 'string') return;
  key.commentBefore = join(key.commentBefore, value.commentBefore);
  value.commentBefore = null;
};

/** Without directives, tags, anchors and other parts that do nothing here. */
function bare(document: Document<Node>): void {
  document.directives = new Document().directives;
  visit(document, {
    Pair: aboveKey,
    Node: (_, node) => {
      delete node.tag;
      if ('anchor' in node) delete node.anchor;
      if (isScalar(node)) node.type = style(node);
    },
  });
}

/** A quoted text stays quoted. A text on several lines is quoted, to stand on one line. */
function style({ type, value }: Scalar): Scalar.Type {
  if (type === Scalar.PLAIN || type === undefined) return Scalar.PLAIN;
  const text = String(value);
  return text.includes('"') && !text.includes("'") ? Scalar.QUOTE_SINGLE : Scalar.QUOTE_DOUBLE;
}

/**
 * Comments at the end of a block are about the next block, or they would have stood above. Where no block follows, they
 * go to the end of the block around them.
 */
function lower(node: Node): void {
  if (!isCollection(node)) return;
  for (const [index, item] of node.items.entries()) {
    const below: unknown = isPair(item) ? item.value : item;
    if (!isCollection(below)) continue;
    lower(below);
    if (below.flow === true || typeof below.comment !== 'string') continue;
    const following = node.items[index + 1];
    const next: unknown = isPair(following) ? following.key : following;
    if (isNode(next)) next.commentBefore = join(below.comment, next.commentBefore);
    else node.comment = join(below.comment, node.comment);
    below.comment = null;
  }
}

/**
 * Keys in order, switches and numbers with the same type for every reader; `headed` where a comment above is about the
 * whole.
 */
function order(node: Node, schemas: readonly z.core.$ZodType[], headed: boolean): void {
  if (isScalar(node)) {
    if (schemas.some(isSwitch)) node.value = node.value === 'true';
    else if (schemas.some((schema) => numbers.has(schema))) node.value = Number(node.value);
    else return;
    node.type = Scalar.PLAIN;
  } else if (isMap(node)) {
    sort(node, schemas, headed);
    for (const { key, value } of node.items) {
      const below = schemas.flatMap((schema) => schemasAt(schema, [String((key as Scalar).value)]));
      if (isNode(value)) order(value, below, false);
    }
  } else if (isSeq(node)) {
    const below = schemas.flatMap((schema) => schemasAt(schema, [0]));
    for (const item of node.items) {
      if (!isNode(item)) continue;
      order(item, below, true);
      if (isMap(item)) raise(item);
    }
  }
}

const isSwitch = (schema: z.core.$ZodType): boolean =>
  schema instanceof z.ZodEnum && schema.options.every((option) => option === 'true' || option === 'false');

function sort(map: YAMLMap, schemas: readonly z.core.$ZodType[], headed: boolean): void {
  const rank = ranks(schemas);
  const was = map.items[0]?.key;
  map.items.sort((a, b) => rank(String((a.key as Scalar).value)) - rank(String((b.key as Scalar).value)));
  const first = map.items[0]?.key;
  if (first === was || !isNode(first) || !isNode(was)) return;
  first.spaceBefore = false;
  // A comment above the first key of a mapping goes with that key, except a head, which is about the whole.
  if (headed || !map.commentBefore) return;
  was.commentBefore = join(map.commentBefore, was.commentBefore);
  map.commentBefore = null;
}

/** A comment between the dash of a list and the first key is put above the dash. */
function raise(item: YAMLMap): void {
  const first = item.items[0]?.key;
  if (!isNode(first) || first.commentBefore === undefined || first.commentBefore === null) return;
  item.commentBefore = join(item.commentBefore, first.commentBefore);
  first.commentBefore = null;
}

const join = (...comments: readonly (string | null | undefined)[]): string =>
  comments.filter((text) => typeof text === 'string').join('\n');

/** Where a collection stands: the column of its keys or dashes, and the one where it would begin on one line. */
interface Column {
  readonly indent: number;
  readonly start: number;
}

/** Lays a collection out; `block` where one line is not wanted however short it is, `head` where its comments go then. */
function layout(node: unknown, head: Node, { indent, start }: Column, flow: boolean, block: boolean): void {
  if (!isCollection(node)) return;
  const listed = isSeq(node) && node.items.some(isMap);
  if (node.items.length === 0 || (flow && !block && !listed && fits(node, start))) {
    inFlow(node);
    return;
  }
  if (node.flow === true && typeof node.comment === 'string') {
    head.commentBefore = join(head.commentBefore, node.comment);
    node.comment = null;
  }
  node.flow = false;
  for (const item of node.items) {
    if (isPair(item)) {
      const key = item.key as Scalar;
      const columns = { indent: indent + 2, start: indent + String(key.value).length + 2 };
      layout(item.value, key, columns, flow, false);
    } else layout(item, item as Node, { indent: indent + 2, start: indent + 2 }, flow, listed);
  }
}

function fits(node: YAMLMap | YAMLSeq, start: number): boolean {
  if (commented(node)) return false;
  const alone = new Document(null, { schema: 'core' });
  const copy = node.clone() as YAMLMap | YAMLSeq;
  copy.comment = null;
  inFlow(copy);
  alone.contents = copy as never;
  return start + alone.toString({ lineWidth: 0 }).trimEnd().length <= widest;
}

/** Whether a comment stands inside; a comment behind the closing bracket stands outside. */
function commented(node: YAMLMap | YAMLSeq): boolean {
  let found = Boolean(node.commentBefore) || (node.flow !== true && Boolean(node.comment));
  visit(node, {
    Node: (_, below) => {
      if (below !== node && (below.comment || below.commentBefore)) found = true;
    },
  });
  return found;
}

/** On one line there are no empty lines. */
function inFlow(node: YAMLMap | YAMLSeq): void {
  visit(node, {
    Node: (_, below) => {
      if (below !== node) below.spaceBefore = false;
      if (isCollection(below)) below.flow = true;
      if (isSeq(below)) below.toString = tight;
    },
  });
}

/** `{ a: b }`, but `[a, b]`: the library pads both or neither. Lists on one line have no mappings in them. */
function tight(this: YAMLSeq, ...[context, ...rest]: Parameters<YAMLSeq['toString']>): string {
  const without = context === undefined ? undefined : { ...context, flowCollectionPadding: '' };
  return YAMLSeq.prototype.toString.call(this, without, ...rest);
}
