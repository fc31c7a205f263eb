import { unifiedRemedy } from '../kernel/cgroup.js';
import { comparableBy, incomparable, type PlacedSeat, ratioText } from '../shares/compare.js';
import { arenaOf } from '../shares/place.js';
import type { SeatFacts, ShareFacts } from './facts.js';
import { about, type Finding } from './finding.js';

const { ok, warning } = about('shares');

/** Whether processors, memory and disks can be divided among seats, and whose weights count against whose. */
export function checkShares(facts: ShareFacts | undefined, seats: readonly SeatFacts[]): Finding[] {
  if (facts === undefined || seats.length === 0) return [];
  const { missing, hybrid, pressure, diskWeights } = facts;
  if (missing.includes('cpu')) {
    const why = hybrid ? 'is a controller of cgroups v1 here' : 'has no controller in the hierarchy of cgroups';
    const others = missing.filter((name) => name !== 'cpu');
    const also = others.length === 0 ? '' : `, and so ${others.length === 1 ? 'is' : 'are'} ${others.join(', ')}`;
    return [warning(`weights are not available: cpu ${why}${also}`, unifiedRemedy)];
  }
  const placed = seats.flatMap(({ placed: one }) => one ?? []);
  return [
    ...missing.map((name) =>
      warning(`${name} cannot be divided: there is no controller for it`, 'boot a kernel of Debian 12 or newer'),
    ),
    ...(pressure
      ? []
      : [
          warning(
            'the kernel does not count how long the seats wait for processors, memory and disks',
            'boot with psi=1',
          ),
        ]),
    ...(!diskWeights && seats.some(({ asksForDisk }) => asksForDisk === true)
      ? [
          warning(
            'a seat file has a weight for the disks, and no disk goes by weights: none has the scheduler bfq, and iocost is off',
            'echo bfq > /sys/block/DISK/queue/scheduler, or leave io out',
          ),
        ]
      : []),
    ...standstill(facts, seats),
    ...comparisons(placed),
  ];
}

/** A seat that takes all memory has the others wait for a long time, although they lose nothing. */
function standstill({ keepsUsedMs }: ShareFacts, seats: readonly SeatFacts[]): Finding[] {
  const open = seats.filter(({ boundsMemory }) => boundsMemory === false).map(({ seat }) => seat);
  if (keepsUsedMs !== 0 || seats.length < 2 || open.length === 0) return [];
  return [
    warning(
      `if ${open.join(' or ')} takes all memory, every seat waits for the disk until the kernel ends a program, which can take minutes`,
      'give them `memory` in their files; or put "w /sys/kernel/mm/lru_gen/min_ttl_ms - - - - 1000" into a file of /etc/tmpfiles.d',
    ),
  ];
}

/** The first pair of each two arenas stands for all of theirs: the same remedy makes the others comparable. */
function comparisons(placed: readonly PlacedSeat[]): Finding[] {
  const seen = new Set<string>();
  return placed.flatMap((one, at) =>
    placed.slice(at + 1).flatMap((other): Finding[] => {
      const why = incomparable(one, other);
      const pair = [arenaOf(one.place), arenaOf(other.place)].sort().join(' ');
      if (seen.has(pair)) return [];
      seen.add(pair);
      const both = `the weights of ${one.seat} and ${other.seat}`;
      if (why !== undefined) return [warning(`${both} cannot be compared: ${why}`, comparableBy(one, other))];
      return [ok(`${both} count against each other in ${arenaOf(one.place)}: ${ratioText(one, other)}`)];
    }),
  );
}
