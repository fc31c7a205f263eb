// How large the house is in each case. Pure.

import type { Options } from '../options.js';
import type { Size } from '../result.js';
import type { RowName } from './rows.js';

/** One start of an agent, and what it is asked. */
export interface Case {
  readonly size: Size;
  readonly rounds: number;
  readonly asks: readonly { readonly ask: 'unit' | 'heard' | 'burst' | 'same' | 'look'; readonly count: number }[];
}

/** Free ports for keyboards that come and go, in each seat. */
const portsOfSeat = 16;
/** Keyboards that are plugged in the large cases: the largest is the one of the design's table. */
const crowds = [250, 1000];
/** Another burst would be measured in another state: bursts have agents of their own. */
const burstSeats = 2;

/** The measurements of a round, by `--only` and the wanted sizes. */
export function casesOf(options: Pick<Options, 'only' | 'seats' | 'bursts' | 'events' | 'rounds'>): Case[] {
  const wants = (...names: RowName[]): boolean =>
    options.only.length === 0 || names.some((name) => options.only.includes(name));
  const { events, rounds } = options;
  const few = Math.min(events, 50);
  const looks = Math.min(events, 5);
  const most = Math.max(...options.seats);
  const smallest = options.seats.includes(2) ? 2 : Math.min(...options.seats);
  const small = options.seats.map((seats): Case => {
    const isUsual = seats === smallest;
    return {
      size: { seats, rules: seats * portsOfSeat, plugged: 0 },
      rounds,
      asks: [
        ...(wants('plug', 'unplug') ? [{ ask: 'unit', count: events } as const] : []),
        ...(wants('same') && isUsual ? [{ ask: 'same', count: few } as const] : []),
        ...(wants('heard') && isUsual ? [{ ask: 'heard', count: events } as const] : []),
        ...(wants('look') && isUsual ? [{ ask: 'look', count: looks } as const] : []),
      ],
    };
  });
  const large = crowds.map((plugged): Case => {
    const isLargest = plugged === Math.max(...crowds);
    return {
      size: { seats: most, rules: plugged + 24, plugged },
      rounds: Math.min(rounds, 2),
      asks: [
        // As many as in the small cases: after fewer, less of the code is compiled.
        ...(wants('plug', 'unplug') ? [{ ask: 'unit', count: events } as const] : []),
        ...(wants('same') && isLargest ? [{ ask: 'same', count: few } as const] : []),
        ...(wants('look') && isLargest ? [{ ask: 'look', count: looks } as const] : []),
      ],
    };
  });
  const bursts = options.bursts.map(
    (count): Case => ({
      size: { seats: burstSeats, rules: count, plugged: 0 },
      rounds: Math.min(rounds, 3),
      asks: wants('burst') ? [{ ask: 'burst', count }] : [],
    }),
  );
  // A run with a single small size is somebody's quick look.
  const all = most >= 8 ? [...small, ...large, ...bursts] : [...small, ...bursts];
  return all.filter(({ asks }) => asks.length > 0);
}

/** The policy for all judgements and plans. */
export const decided: Size = { seats: 64, rules: 4096, plugged: 4000 };
