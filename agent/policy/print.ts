import { type Document, type Node, visit } from 'yaml';

/** Characters that are invisible when printed, or control a terminal; without the newline, which is wanted. */
const invisible = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufeff]/u;
const allInvisible = new RegExp(invisible.source, 'gu');

/**
 * A document as text, every value on one line. Some values are a device's own words: invisible characters in them are
 * written as escapes, because files are shown on terminals as well.
 */
export function printDocument(document: Document<Node>): string {
  visit(document, {
    Scalar: (_, node) => {
      if (invisible.test(String(node.value))) node.type = 'QUOTE_DOUBLE';
    },
  });
  return document
    .toString({ lineWidth: 0 })
    .replace(allInvisible, (char) =>
      char === '\n' ? char : `\\U${(char.codePointAt(0) ?? 0).toString(16).padStart(8, '0')}`,
    );
}
