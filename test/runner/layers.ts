// The layers of tests, and how many files of each run beside each other.

import { availableParallelism, totalmem } from 'node:os';

export type LayerName = 'unit' | 'field' | 'namespace' | 'lab';

export interface Layer {
  readonly name: LayerName;
  /** Where its compiled test files are, below `dist/test`. */
  readonly directory: string;
  /** How many files run at a time. */
  readonly atOnce: number;
  /** Files that touch nothing of the machine, although others of their layer do: they run beside those, in idle time. */
  readonly apart?: readonly string[];
  /** When a file is ended whose usual time nobody has noted, ms. */
  readonly limitMs: number;
}

/** Memory that an emulated PC takes together with the test that drives it, bytes. */
const perPc = 4 * 2 ** 30;

const cores = availableParallelism();
const pcs = Math.max(1, Math.min(cores, Math.floor(totalmem() / perPc)));

/**
 * The settings for the lab's programs: processors of a PC, one or two, as many as there are cores for each of them.
 */
export const labEnvironment: Readonly<Record<string, string>> = {
  HOTSEAT_LAB_CPUS: String(Math.max(1, Math.min(2, Math.floor(cores / pcs)))),
};

export const layers: readonly Layer[] = [
  { name: 'unit', directory: 'unit', atOnce: cores, limitMs: 60_000 },
  // Each has a sysfs, a /run and a /dev of its own.
  { name: 'field', directory: 'field', atOnce: cores, limitMs: 60_000 },
  // These change the machine that they run on: mounts, cgroups, programs in the kernel.
  {
    name: 'namespace',
    directory: 'namespace',
    atOnce: 1,
    // The first has a model of a kernel, a PC and containers; the others have mounts and networks of their own.
    apart: cores > 1 ? ['house-model', 'agent-verbs', 'policy-manager', 'udev-source'] : [],
    limitMs: 120_000,
  },
  {
    name: 'lab',
    directory: 'lab/tests',
    atOnce: pcs,
    limitMs: 600_000,
  },
];
