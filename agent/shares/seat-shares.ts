import { resourceNames, type SeatPolicy } from '../core/policy.js';
import { readGroup } from '../kernel/group-files.js';
import { amountFiles, amountsOf } from './amounts.js';
import { meansOf, type SharePlace } from './place.js';
import { pressureNames, pressureOf } from './pressure.js';
import type { SeatShares } from './words.js';

/**
 * The amounts of a seat at its place; undefined when that has gone. Small files of the kernel, some microseconds each:
 * nobody is asked. `root`: the mount point of the cgroup2 hierarchy.
 */
export function seatShares(
  root: string,
  policy: Pick<SeatPolicy, 'resources'>,
  place: SharePlace,
  { problem, endsFirst }: Pick<SeatShares, 'problem' | 'endsFirst'>,
): SeatShares | undefined {
  const pressures = pressureNames.map((name) => `${name}.pressure`);
  const found = readGroup(root, place.group, [...amountFiles, ...pressures, 'memory.current', 'pids.current']);
  if (found === undefined) return undefined;
  const { texts } = found;
  const now = amountsOf(texts);
  const number = (name: string): number | undefined => (texts.has(name) ? Number(texts.get(name)) : undefined);
  const pressure = pressureNames.flatMap((name) => {
    const one = pressureOf(texts.get(`${name}.pressure`));
    return one === undefined ? [] : [[name, one] as const];
  });
  return {
    resources: resourceNames.map((name) => ({
      ...{ name, amount: now[name], asked: policy.resources?.[name] !== undefined },
    })),
    ...{ group: place.group, means: meansOf(place), problem },
    pressure: Object.fromEntries(pressure),
    ...{ memoryBytes: number('memory.current'), processes: number('pids.current'), endsFirst },
  };
}
