import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { liesAlone, type NodeClass } from '../core/device.js';

/** Everything of ours at run time lives below this; `/run` is `nodev` on most hosts, so each seat mounts its own tmpfs. */
export const runtime = '/run/hotseat';

/** The socket that everybody may connect to. Root's is beside it (agent/control/places.ts). */
export const controlSocket = join(runtime, 'control.sock');

/** The record of containers and of guarded groups: for an agent that starts again. */
export const containerRecord = join(runtime, 'containers.json');
export const guardRecord = join(runtime, 'guards.json');

/** The values of seats' groups before their shares were set. */
export const shareRecord = join(runtime, 'shares.json');

/** The values of `oom_score_adj` of containers' inits before they were changed. */
export const scoreRecord = join(runtime, 'scores.json');

/** Attributes of devices that somebody can keep locked. */
export const attributeRecord = join(runtime, 'attributes.json');

/** There while the holder of shared cards may have anything. */
export const holderMarker = join(runtime, 'holder');

/** There while it may serve devices. */
export const descriptorMarker = join(runtime, 'descriptors');

/** One directory a seat. */
export const seats = join(runtime, 'seats');
const journals = join(runtime, 'journal');

/**
 * Makes what all seats need at run time. Everybody may come as far as the socket. The rest is root's: a node in a seat
 * has a group of the container's, and that number may be anybody's on the host.
 */
export function makeRuntime(): void {
  for (const path of [seats, journals]) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, 0o700);
  }
  chmodSync(runtime, 0o755);
}

/** Host path of a seat's own tmpfs. */
export const seatRoot = (seat: string): string => join(seats, seat);

export const journalRoot = (seat: string): string => join(journals, seat);

/** Containers that stand still. */
export const standstills = join(runtime, 'standstill');

/** Names the container that stands still while a descriptor of this seat is taken back. */
export const standstillOf = (seat: string): string => join(standstills, seat);

export const nodeClasses: readonly NodeClass[] = ['input', 'snd', 'dri', 'hidraw', 'plain'];

/** A directory of the seat and where it appears in the container, both relative. */
export interface Graft {
  readonly source: string;
  readonly target: string;
}

/** Where the udev database is that consumers read. */
export const udevTarget = 'run/udev';

/** The grafts of a seat: its node classes, and the udev database that its consumers read. */
export const graftsOf = (classes: Iterable<NodeClass>): Graft[] => [
  ...[...classes].filter((name) => !liesAlone(name)).map((name) => ({ source: `dev/${name}`, target: `dev/${name}` })),
  { source: 'udev', target: udevTarget },
];
