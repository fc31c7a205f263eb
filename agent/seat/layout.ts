import { join } from 'node:path';
import type { NodeClass } from '../core/device.js';

/** Everything of ours at run time lives below this; `/run` is `nodev` on most hosts, so each seat mounts its own tmpfs. */
export const runtime = '/run/hotseat';

export const controlSocket = join(runtime, 'control.sock');

/** Host path of a seat's own tmpfs. */
export const seatRoot = (seat: string): string => join(runtime, 'seats', seat);

export const journalRoot = (seat: string): string => join(runtime, 'journal', seat);

export const nodeClasses: readonly NodeClass[] = ['input', 'snd', 'dri'];

/** A directory of the seat and where it appears in the container, both relative. */
export interface Graft {
  readonly source: string;
  readonly target: string;
}

/** The grafts of a seat: its node classes, and the udev database that its consumers read. */
export const graftsOf = (classes: Iterable<NodeClass>): Graft[] => [
  ...[...classes].map((name) => ({ source: `dev/${name}`, target: `dev/${name}` })),
  { source: 'udev', target: 'run/udev' },
];
