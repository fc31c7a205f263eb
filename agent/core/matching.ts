/** An output that wants a CRTC, and those that can drive it. */
export interface WantsCrtc {
  readonly connector: string;
  readonly crtcs: readonly number[];
}

/**
 * A CRTC for each output, as many outputs as can have one at once. `fixed` pairs stay as they are: they are leased, and
 * a lease cannot be changed. Earlier outputs are served first, but take another CRTC where that makes room for one more
 * output (Kuhn's augmenting paths). Outputs that get none are not in the answer. Pure.
 */
export function matchCrtcs(
  outputs: readonly WantsCrtc[],
  fixed: ReadonlyMap<string, number> = new Map(),
): Map<string, number> {
  const taken = new Set(fixed.values());
  const free = outputs.filter(({ connector }) => !fixed.has(connector));
  const drives = new Map<number, WantsCrtc>();
  const seat = (output: WantsCrtc, tried: Set<number>): boolean =>
    output.crtcs.some((crtc) => {
      if (taken.has(crtc) || tried.has(crtc)) return false;
      tried.add(crtc);
      const other = drives.get(crtc);
      if (other !== undefined && !seat(other, tried)) return false;
      drives.set(crtc, output);
      return true;
    });
  for (const output of free) seat(output, new Set());
  return new Map([...fixed, ...[...drives].map(([crtc, { connector }]) => [connector, crtc] as const)]);
}
