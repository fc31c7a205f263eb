import { type Document, isSeq, type Node, parseDocument, type YAMLSeq } from 'yaml';
import type { Diagnostic } from '../core/policy.js';
import { problem } from './files.js';
import { formatText } from './format.js';
import { printDocument } from './print.js';

/** A rule as a seat file has it. */
export type RuleText = Readonly<Record<string, unknown>>;

/**
 * A seat file with one more rule at the end of its devices; comments and all else stay. A file in the canonical form is
 * in it afterwards. `text` is a seat file without errors.
 */
export function appendRule(
  file: string,
  text: string,
  rule: RuleText,
): { readonly text: string } | { readonly diagnostics: readonly Diagnostic[] } {
  const before = formatText(file, text);
  if ('diagnostics' in before) return before;
  const document = parseDocument(text) as Document<Node>;
  const devices = document.get('devices', true);
  if (!isSeq(devices)) return { diagnostics: [problem(file, '"devices" is no list', 'write it as one')] };
  const list = devices as YAMLSeq;
  list.flow = false;
  list.add(document.createNode(rule));
  const longer = printDocument(document);
  return before.text === text ? formatText(file, longer) : { text: longer };
}

/** A rule as it would stand in a seat file, for people. */
export function ruleText(rule: RuleText): string {
  const document = parseDocument('devices: []') as Document<Node>;
  (document.get('devices', true) as YAMLSeq).flow = false;
  (document.get('devices', true) as YAMLSeq).add(document.createNode(rule));
  return printDocument(document)
    .replace(/^devices:\n/, '')
    .trimEnd();
}
