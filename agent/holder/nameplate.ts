import { dots, dotsOf } from './letters.js';

/** Equal rows of a picture: from `top` on so many, lit from each first column to before each last one. */
export interface Band {
  readonly top: number;
  readonly rows: number;
  readonly lit: readonly (readonly [number, number])[];
}

/** How much of a picture's width a line may take, and how much of its height the first one. */
const part = { width: 0.7, height: 0.2 } as const;

/**
 * Lines of text in the middle of a picture of this size, as large as a person needs who stands before several monitors: the first
 * is largest. Everything else is dark. Pure.
 */
export function nameplate(lines: readonly string[], width: number, height: number): Band[] {
  const sizeOf = (line: string, most: number): number =>
    Math.max(1, Math.floor(Math.min((part.width * width) / Math.max(1, dots.wide * line.length), most)));
  const first = sizeOf(lines[0] ?? '', (part.height * height) / dots.high);
  const sizes = lines.map((line, at) => (at === 0 ? first : sizeOf(line, first / 2)));
  const gap = 3;
  const all = sizes.reduce((sum, size, at) => sum + dots.high * size + (at === 0 ? 0 : gap * size), 0);
  let top = Math.floor((height - all) / 2);
  return lines.flatMap((line, at) => {
    const size = sizes[at] ?? 1;
    if (at > 0) top += gap * size;
    const left = Math.floor((width - (dots.wide * line.length - 1) * size) / 2);
    return dotsOf(line).map((row): Band => {
      const band = {
        top,
        rows: size,
        lit: runsOf(row).map(([from, to]) => [left + from * size, left + to * size] as const),
      };
      top += size;
      return band;
    });
  });
}

/** Runs of lit dots, each from its first one to before its end. */
function runsOf(row: readonly boolean[]): [number, number][] {
  const runs: [number, number][] = [];
  for (const [at, isLit] of row.entries()) {
    const last = runs.at(-1);
    if (!isLit) continue;
    if (last?.[1] === at) last[1] = at + 1;
    else runs.push([at, at + 1]);
  }
  return runs;
}
