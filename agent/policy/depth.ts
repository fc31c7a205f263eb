import { Lexer } from 'yaml';
import type { Diagnostic } from '../core/policy.js';
import { problem } from './files.js';

/** Levels of brackets, or of list items on one line. No file of ours needs more than a few. */
const levels = 32;
/** Columns that a line is moved in: a level takes one at least. */
const columns = 200;

/**
 * Whether a text nests deeper than any file of ours. It is asked before the text is parsed: the time of YAML's parser grows
 * with the square of the depth (100,000 brackets took 5 s), and it ends with a RangeError. Its lexer reads straight on.
 */
export function isTooDeep(text: string): boolean {
  let brackets = 0;
  let items = 0;
  let startsLine = true;
  for (const token of new Lexer().lex(text)) {
    if (token === '[' || token === '{') brackets += 1;
    else if (token === ']' || token === '}') brackets = Math.max(0, brackets - 1);
    else if (token === '-' || token === '?') items += 1;
    if (brackets > levels || items > levels) return true;
    if (startsLine && brackets === 0 && /^ /.test(token) && token.length > columns) return true;
    startsLine = token === '\n' || token === '\r\n';
    if (startsLine) items = 0;
  }
  return false;
}

/** The fault of such a file. */
export const tooDeep = (file: string): Diagnostic =>
  problem(file, 'the file is nested too deep', 'remove the nested values');
