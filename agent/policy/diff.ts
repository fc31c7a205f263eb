/** Longer files are compared only as far as they are the same at both ends. */
const longest = 2000;

interface Edit {
  readonly sign: '-' | '+';
  readonly line: number;
  readonly text: string;
}

/** The changes between two texts, line by line: `-3 was`, `+3 is`. Without context, for people who know the file. */
export function diffLines(before: string, after: string): string[] {
  const [a, b] = [before.split('\n'), after.split('\n')];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a.at(-1 - tail) === b.at(-1 - tail)) tail += 1;
  const edits = changes(a.slice(head, a.length - tail), b.slice(head, b.length - tail), head + 1);
  return edits.map(({ sign, line, text }) => `${sign}${line} ${text}`);
}

/** The fewest lines out and in: a longest common subsequence, by its table. */
function changes(a: readonly string[], b: readonly string[], first: number): Edit[] {
  const out = (i: number): Edit => ({ sign: '-', line: first + i, text: a[i] ?? '' });
  const into = (j: number): Edit => ({ sign: '+', line: first + j, text: b[j] ?? '' });
  if (a.length > longest || b.length > longest) return [...a.map((_, i) => out(i)), ...b.map((_, j) => into(j))];
  const table = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  const at = (i: number, j: number): number => table[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      (table[i] as Uint16Array)[j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const edits: Edit[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      i += 1;
      j += 1;
    } else if (i < a.length && (j === b.length || at(i + 1, j) >= at(i, j + 1))) {
      edits.push(out(i));
      i += 1;
    } else {
      edits.push(into(j));
      j += 1;
    }
  }
  return edits;
}
