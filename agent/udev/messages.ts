import type { SeatSubsystem } from '../core/device.js';

/** What the udev child process tells its parent. */
export type ChildMessage =
  /** It listens now: what is enumerated from here on misses nothing. */
  | { readonly kind: 'listening' }
  | { readonly kind: 'events'; readonly events: readonly RawEvent[] }
  /** Answers the parent's question, whatever that was: it is alive. */
  | { readonly kind: 'here' };

/**
 * What the child ends with when its socket's buffer overran, because node-udev is deaf from then on (EX_TEMPFAIL of
 * sysexits.h). Not a message: that would wait behind all that the parent has not read yet.
 */
export const overrunStatus = 75;

/** One of udevd's messages. */
export interface RawEvent {
  readonly action: string;
  readonly syspath: string;
  readonly properties: Readonly<Record<string, string>>;
  /** When the child received it: CLOCK_MONOTONIC in ns, decimal. */
  readonly receivedNs: string;
}

export const subsystems: readonly SeatSubsystem[] = ['input', 'sound', 'drm', 'hidraw'];

export const isOurs = (subsystem: string): subsystem is SeatSubsystem => subsystems.some((ours) => ours === subsystem);
