import { lineOf, type Resource, type Resources, resourceNames, type SeatPolicy } from './policy.js';

/** The weight that the kernel gives to a group of whom nobody says anything (cgroup-v2.rst, cpu.weight and io.weight). */
export const evenWeight = 100;

/** The wanted amount of a resource for a seat. `asked`: by its seat file; otherwise it is the host's default. */
export interface Share {
  /** A weight, bytes or a number of processes; undefined where nothing bounds it. */
  readonly amount: number | undefined;
  readonly asked: boolean;
}

export type Shares = Readonly<Record<Resource, Share>>;

/** Amounts as the kernel writes them: a number, or `max` where nothing bounds it. Empty: there is no such file. */
export type Amounts = Readonly<Partial<Record<Resource, string>>>;

/**
 * How many processes a seat may have when its file does not say. 15 % of the kernel's limit, as systemd gives to a
 * service (DefaultTasksMax=). Where there are many seats, it is less, so that a tenth is left for the host. `most`: the
 * kernel's own bound.
 */
export const defaultPids = (seats: number, most: number): number =>
  Math.floor(most * Math.min(0.15, 0.9 / Math.max(1, seats)));

/**
 * The wanted shares of a seat: the amounts in its file, even weights, and a bound on processes. `pids`: the default of
 * that.
 */
export function sharesOf({ resources = {} }: Pick<SeatPolicy, 'resources'>, pids: number): Shares {
  const defaults = { cpu: evenWeight, memory: undefined, io: evenWeight, pids };
  const share = (name: Resource): Share => ({
    amount: resources[name]?.value ?? defaults[name],
    asked: resources[name] !== undefined,
  });
  return { cpu: share('cpu'), memory: share('memory'), io: share('io'), pids: share('pids') };
}

/** The common shares of several seats in one group. Memory is bounded only when each of them bounds it. */
export function together(all: readonly Shares[]): Shares {
  const sum = (name: Resource): Share => {
    const amounts = all.map((one) => one[name].amount);
    const bounded = amounts.every((amount) => amount !== undefined);
    return {
      amount: bounded ? amounts.reduce((total: number, amount) => total + (amount ?? 0), 0) : undefined,
      asked: bounded && all.some((one) => one[name].asked),
    };
  };
  const capped = (share: Share): Share => ({ ...share, amount: Math.min(share.amount ?? evenWeight, 10_000) });
  return { cpu: capped(sum('cpu')), memory: sum('memory'), io: capped(sum('io')), pids: sum('pids') };
}

/** The values to write, and the values before the first write. */
export interface Correction {
  readonly write: Amounts;
  readonly former: Amounts;
}

/**
 * The writes that give a group its shares. `now`: its values; `former`: its values before our first write; `available`:
 * the resources that this host can divide. A value that nobody asks for any more goes back to its former value. The
 * default bound on processes is only for a group without a bound: a stricter bound of the engine stays.
 */
export function correction(
  shares: Shares,
  now: Amounts,
  former: Amounts,
  available: ReadonlySet<Resource>,
): Correction {
  const write: Partial<Record<Resource, string>> = {};
  const before: Partial<Record<Resource, string>> = {};
  for (const name of resourceNames) {
    if (!available.has(name)) continue;
    const was = former[name] ?? now[name] ?? '';
    const target = targetOf(name, shares[name], was);
    if (target !== (now[name] ?? '')) write[name] = target;
    if (target !== was) before[name] = was;
  }
  return { write, former: before };
}

function targetOf(name: Resource, { amount, asked }: Share, was: string): string {
  if (asked) return String(amount);
  switch (name) {
    case 'cpu':
    case 'io':
      return String(amount ?? evenWeight);
    case 'pids':
      return was === 'max' || was === '' ? String(amount) : was;
    case 'memory':
      return was;
  }
}

/** The writes that give a group its former values back. */
export const restoration = (now: Amounts, former: Amounts): Amounts =>
  Object.fromEntries(Object.entries(former).filter(([name, amount]) => now[name as Resource] !== amount));

/** The changes of the seats' shares by another policy, in words: `left: cpu 100 -> 200`. */
export function shareChanges(before: readonly SeatPolicy[], after: readonly SeatPolicy[]): string[] {
  return after.flatMap(({ seat, resources = {} }) => {
    const was = before.find((other) => other.seat === seat)?.resources ?? {};
    return resourceNames.flatMap((name) => {
      const [from, to] = [wordsOf(name, was), wordsOf(name, resources)];
      return from === to ? [] : [`${seat}: ${name} ${from} -> ${to}`];
    });
  });
}

const wordsOf = (name: Resource, resources: Resources): string => {
  const asked = resources[name];
  return asked === undefined ? 'default' : amountText(name, String(asked.value));
};

/** An amount for people: `2G`, `100`, `no limit`. */
export function amountText(name: Resource, amount: string): string {
  if (amount === 'max') return 'no limit';
  if (name !== 'memory') return amount;
  const [unit, size] =
    (
      [
        ['G', 2 ** 30],
        ['M', 2 ** 20],
      ] as const
    ).find(([, bytes]) => Number(amount) % bytes === 0) ?? (['M', 2 ** 20] as const);
  return `${Math.round(Number(amount) / size)}${unit}`;
}

/** Where a seat's share of a resource comes from, in words. */
export const originOf = (name: Resource, { resources = {} }: Pick<SeatPolicy, 'resources'>): string => {
  const asked = resources[name];
  return asked === undefined ? 'default' : lineOf(asked.place);
};
