// The messages between the bench and a measured agent. Each commit brings its own agent.ts, so that another commit can
// be measured with any rooms; this protocol is common to all.

import type { Size } from '../result.js';

/** Raised whenever an older commit's answers would be misread. */
export const protocol = 1;

export type Request =
  /**
   * Makes a world of this size, and settles when every seat has what is plugged. `profile`: a directory for a profile of all
   * that is done after that.
   */
  | { readonly ask: 'start'; readonly size: Size; readonly profile?: string | undefined }
  /** Plugs and unplugs keyboards one at a time. */
  | { readonly ask: 'unit'; readonly count: number }
  /** As `unit`, said by datagrams that the udev process has to hear first. */
  | { readonly ask: 'heard'; readonly count: number }
  /** So many keyboards at once, by datagrams. */
  | { readonly ask: 'burst'; readonly count: number }
  /** udevd says again what it has said of a keyboard. */
  | { readonly ask: 'same'; readonly count: number }
  /** The look of every 30 s. */
  | { readonly ask: 'look'; readonly count: number }
  /** All that is plugged is judged, and all seats are planned, without a look at the kernel. */
  | { readonly ask: 'decide'; readonly count: number; readonly size: Size };

/** Times in ms, in the order in which they were measured. */
export interface Answers {
  readonly start: { readonly protocol: number };
  readonly unit: {
    readonly plug: readonly number[];
    readonly unplug: readonly number[];
    /** Until nothing is left to be done, and the next event finds nobody busy. */
    readonly pluggedIdle: readonly number[];
    readonly unpluggedIdle: readonly number[];
  };
  readonly heard: {
    readonly plug: readonly number[];
    /** Until the udev process had heard of it, and until the agent had. */
    readonly udev: readonly number[];
    readonly agent: readonly number[];
  };
  readonly burst: {
    /** From the first datagram to the last one, to half of the announcements, and to the last of them. */
    readonly sent: number;
    readonly half: number;
    readonly last: number;
  };
  readonly same: {
    readonly all: readonly number[];
    /** Of it, what is worked out without asking the kernel for anything. */
    readonly pure: readonly number[];
  };
  readonly look: {
    readonly all: readonly number[];
    /** The longest time that nothing else had the event loop. */
    readonly piece: readonly number[];
  };
  readonly decide: { readonly all: readonly number[] };
}

export type Reply = { readonly answer: unknown } | { readonly error: string };
