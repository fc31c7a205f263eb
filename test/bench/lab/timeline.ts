// The output of probe.c, as times. Pure.

/** One keyboard that came, and went; µs of CLOCK_MONOTONIC. */
export interface Way {
  readonly node: string;
  readonly kernelAdd: number;
  readonly udevAdd: number;
  readonly opened: number;
  readonly kernelRemove?: number;
  readonly udevRemove?: number;
  readonly told?: number;
}

const kinds = ['kernel-add', 'udev-add', 'opened', 'kernel-remove', 'udev-remove', 'told'] as const;
type Kind = (typeof kinds)[number];
const isKind = (word: string | undefined): word is Kind => kinds.some((kind) => kind === word);

/**
 * Names are given again: of each kind, the n-th line of a node is about the n-th device of that name.
 * @throws Error when a node was refused, or something of a device is missing.
 */
export function waysOf(output: string): Way[] {
  const byNode = new Map<string, Map<Kind, number[]>>();
  for (const line of output.split('\n')) {
    const [kind, node, at] = line.split(' ');
    if (kind === 'refused') throw new Error(`${node} could not be opened when the container had heard of it`);
    if (!isKind(kind) || node === undefined) continue;
    const known = byNode.get(node) ?? new Map<Kind, number[]>();
    known.set(kind, [...(known.get(kind) ?? []), Number(at)]);
    byNode.set(node, known);
  }
  const ways = [...byNode].flatMap(([node, times]) =>
    (times.get('opened') ?? []).map((opened, index): Way => {
      const at = (kind: Kind): number | undefined => times.get(kind)?.[index];
      const [kernelAdd, udevAdd] = [at('kernel-add'), at('udev-add')];
      if (kernelAdd === undefined || udevAdd === undefined)
        throw new Error(`${node} was opened before it was heard of`);
      const [kernelRemove, udevRemove, told] = [at('kernel-remove'), at('udev-remove'), at('told')];
      const gone = { ...(udevRemove && { udevRemove }), ...(kernelRemove && { kernelRemove }), ...(told && { told }) };
      return { node, kernelAdd, udevAdd, opened, ...gone };
    }),
  );
  return ways.sort((a, b) => a.kernelAdd - b.kernelAdd);
}

const ms = (from: number, to: number): number => (to - from) / 1000;

/** From the kernel's uevent until a program in the container has it open; `udevd` of it, and the rest; ms each. */
export const arrivals = (ways: readonly Way[]) => ({
  all: ways.map(({ kernelAdd, opened }) => ms(kernelAdd, opened)),
  udevd: ways.map(({ kernelAdd, udevAdd }) => ms(kernelAdd, udevAdd)),
  rest: ways.map(({ udevAdd, opened }) => ms(udevAdd, opened)),
});

/** From the kernel's uevent until the container has been told that it is gone. */
export function removals(ways: readonly Way[]): { all: number[]; udevd: number[]; rest: number[] } {
  const found = { all: [] as number[], udevd: [] as number[], rest: [] as number[] };
  for (const { kernelRemove, udevRemove, told } of ways) {
    if (kernelRemove === undefined || udevRemove === undefined || told === undefined) continue;
    found.all.push(ms(kernelRemove, told));
    found.udevd.push(ms(kernelRemove, udevRemove));
    found.rest.push(ms(udevRemove, told));
  }
  return found;
}

/** Of many at once, from the kernel's first uevent: udevd's last word, half of them open, all of them open; ms. */
export function burstOf(ways: readonly Way[]): { udevd: number; half: number; last: number } {
  const first = Math.min(...ways.map(({ kernelAdd }) => kernelAdd));
  const opened = ways.map(({ opened: at }) => at).sort((a, b) => a - b);
  const half = opened[Math.ceil(opened.length / 2) - 1];
  const last = opened.at(-1);
  if (half === undefined || last === undefined) throw new Error('no keyboard came');
  return {
    udevd: ms(first, Math.max(...ways.map(({ udevAdd }) => udevAdd))),
    half: ms(first, half),
    last: ms(first, last),
  };
}
