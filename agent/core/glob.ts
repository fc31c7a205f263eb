/**
 * Matches a text against one of udev's patterns: `*` any run, `?` one character, `[a-z]` and `[!a-z]` one of or none of
 * a set (fnmatch(3) without flags, as systemd's udev-rules.c calls it). Linear in the text for each `*`; never
 * exponential, because only the last `*` is ever gone back to.
 */
export function glob(pattern: string, text: string): boolean {
  // udevd has no locale: to its fnmatch a character is a byte, and `?` is half an umlaut.
  return ascii.test(pattern) && ascii.test(text) ? match(pattern, text) : match(bytes(pattern), bytes(text));
}

const ascii = /^[\0-\x7f]*$/;
const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

/** The text before the first wildcard; the whole pattern when `exact`. For looking rules up instead of trying them. */
export function literalPart(pattern: string): { readonly prefix: string; readonly exact: boolean } {
  const at = pattern.search(/[*?[]/);
  return at < 0 ? { prefix: pattern, exact: true } : { prefix: pattern.slice(0, at), exact: false };
}

function match(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let mark = 0;
  while (t < text.length) {
    const next = pattern[p] === '*' ? undefined : matchOne(pattern, p, text[t] ?? '');
    if (pattern[p] === '*') {
      star = p;
      p += 1;
      mark = t;
    } else if (next !== undefined) {
      p = next;
      t += 1;
    } else if (star >= 0) {
      p = star + 1;
      mark += 1;
      t = mark;
    } else {
      return false;
    }
  }
  while (pattern[p] === '*') p += 1;
  return p === pattern.length;
}

/** Where the pattern goes on when its element at `at` matches a character, otherwise undefined. */
function matchOne(pattern: string, at: number, char: string): number | undefined {
  const element = pattern[at];
  if (element === undefined) return undefined;
  if (element === '?') return at + 1;
  if (element !== '[') return element === char ? at + 1 : undefined;
  const negated = pattern[at + 1] === '!' || pattern[at + 1] === '^';
  const first = at + (negated ? 2 : 1);
  // A bracket right at the start of a set is a member of it; a set that never ends is a plain bracket.
  const end = pattern.indexOf(']', first + 1);
  if (end < 0) return char === '[' ? at + 1 : undefined;
  return inSet(pattern.slice(first, end), char) !== negated ? end + 1 : undefined;
}

function inSet(set: string, char: string): boolean {
  for (let index = 0; index < set.length; index++) {
    const from = set[index] ?? '';
    const to = set[index + 2];
    if (set[index + 1] === '-' && to !== undefined) {
      if (from <= char && char <= to) return true;
      index += 2;
    } else if (from === char) return true;
  }
  return false;
}
