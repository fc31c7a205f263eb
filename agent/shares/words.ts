import type { Resource } from '../core/policy.js';
import { amountText } from '../core/shares.js';
import { type Pressure, type PressureName, pressureNames } from './pressure.js';

/** The shares of a seat: processors, memory and disks. */
export interface SeatShares {
  /** The amount of each resource. */
  readonly resources: readonly {
    /** The resource. */
    readonly name: Resource;
    /** As the kernel has it: a number, or `max`; absent where it is not divided. */
    readonly amount: string | undefined;
    /** Whether the seat file says so; otherwise it is the host's default, or the engine's own. */
    readonly asked: boolean;
  }[];
  /** Its group in the hierarchy of cgroups. */
  readonly group: string;
  /** How the shares are set there. */
  readonly means: string;
  /** Why something is not as the seat file asks for. */
  readonly problem: string | undefined;
  /** How long its processes waited for each; absent where the kernel does not count it. */
  readonly pressure: Readonly<Partial<Record<PressureName, Pressure>>>;
  /** The memory that it uses. */
  readonly memoryBytes: number | undefined;
  /** How many processes and threads it has. */
  readonly processes: number | undefined;
  /**
   * Whether it has more than its even part of the PC's memory. When the memory of the PC is used up, the kernel then ends its
   * programs before those of the other seats.
   */
  readonly endsFirst: boolean;
}

/** `cpu 100, memory no limit, io 100, processes 3585`: the amounts, for people. */
export const sharesText = ({ resources }: Pick<SeatShares, 'resources'>): string =>
  resources
    .flatMap(({ name, amount }) =>
      amount === undefined ? [] : [`${name === 'pids' ? 'processes' : name} ${amountText(name, amount)}`],
    )
    .join(', ');

/** `cpu 12 %, memory 0 %, io 3 %`: in which part of the last 10 s some of its processes waited. Empty: not counted. */
export const pressureText = ({ pressure }: Pick<SeatShares, 'pressure'>): string =>
  pressureNames
    .flatMap((name) => {
      const some = pressure[name]?.some;
      return some === undefined ? [] : [`${name} ${Math.round(some)} %`];
    })
    .join(', ');
