import { type Document, type Node, visit } from 'yaml';

/** What is not seen when it is printed, or does something else to a terminal; a newline is wanted. */
const invisible = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufeff]/u;
const allInvisible = new RegExp(invisible.source, 'gu');

/**
 * A document as text, every value on one line. Some values are a device's own words: whatever is invisible in them is
 * written as an escape, because files are shown on terminals as well.
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
