import type { Resource } from '../core/policy.js';
import type { Shares } from '../core/shares.js';

/** Where the instance itself keeps which of its keys are ours: keys that begin with `user.` are free (Incus, instance options). */
export const markKey = 'user.hotseat.shares';

type Config = Readonly<Record<string, string>>;

/** The changes of an instance's configuration; an empty value removes a key. */
export interface KeyChange {
  readonly change: Config;
  /** Amounts that Incus's keys cannot hold, or that an administrator has set. */
  readonly problems: readonly string[];
}

/**
 * How an instance is told of its shares, by keys that Incus applies at once and at every start. Keys that an administrator
 * has set, in the instance or in a profile, stay as they are. `own`: the instance's own configuration; `all`: with its
 * profiles'. `shares` undefined: everything of ours is taken back.
 *
 * Weights are Incus's `limits.cpu.allowance` less what `limits.cpu.priority` is below 10 (cgroup_cpu.go, ParseCPU), and a hundred times
 * `limits.disk.priority`; without these keys the weights are even.
 */
export function keyChange(own: Config, all: Config, shares: Shares | undefined): KeyChange {
  const ours = marked(own[markKey]);
  const isOurs = (key: string): boolean => ours[key] !== undefined && own[key] === ours[key];
  const problems: string[] = [];
  const wanted: Record<string, string> = {};
  for (const { name, keys, problem } of shares === undefined ? [] : wishes(shares, all)) {
    const foreign = Object.keys(keys).filter((key) => (all[key] ?? '') !== '' && !isOurs(key));
    const asked = shares?.[name].asked === true;
    if (foreign.length === 0 && problem === undefined) Object.assign(wanted, keys);
    else if (asked) problems.push(problem ?? `${name}: Incus has ${foreign.join(' and ')} already, which stays`);
  }
  const change: Record<string, string> = {};
  for (const key of Object.keys(ours)) if (isOurs(key) && wanted[key] === undefined) change[key] = '';
  for (const [key, value] of Object.entries(wanted)) if (own[key] !== value) change[key] = value;
  const mark = Object.keys(wanted).length === 0 ? '' : JSON.stringify(wanted);
  if (mark !== (own[markKey] ?? '')) change[markKey] = mark;
  return { change, problems };
}

interface Wish {
  readonly name: Resource;
  readonly keys: Config;
  readonly problem?: string;
}

function wishes({ cpu, memory, io, pids }: Shares, all: Config): Wish[] {
  const below = 10 - Number(all['limits.cpu.priority'] ?? '10');
  const tenth = (io.amount ?? 0) / 100;
  const isPriority = Number.isInteger(tenth) && tenth <= 10;
  return [
    // Without keys of its own its weights are even, which is all that the default asks for.
    ...(cpu.asked
      ? [{ name: 'cpu' as const, keys: { 'limits.cpu.allowance': `${(cpu.amount ?? 100) + below}%` } }]
      : []),
    ...(io.asked
      ? [
          {
            ...{ name: 'io' as const, keys: { 'limits.disk.priority': String(tenth) } },
            ...(isPriority
              ? {}
              : { problem: `io: Incus has weights of 100, 200 and so on up to 1000, not ${io.amount}` }),
          },
        ]
      : []),
    ...(memory.asked
      ? [
          {
            name: 'memory' as const,
            keys: { 'limits.memory': String(memory.amount), 'limits.memory.enforce': 'soft' },
          },
        ]
      : []),
    { name: 'pids', keys: { 'limits.processes': String(pids.amount) } },
  ];
}

/** The text of the mark, which an administrator may have changed. */
function marked(text: string | undefined): Config {
  try {
    const value: unknown = JSON.parse(text ?? '{}');
    if (typeof value !== 'object' || value === null) return {};
    return Object.fromEntries(Object.entries(value).filter(([, one]) => typeof one === 'string'));
  } catch {
    return {};
  }
}
