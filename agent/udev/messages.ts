import type { SeatSubsystem } from '../core/device.js';

/** Messages of the udev child process to its parent. */
export type ChildMessage =
  /** It listens now: an enumeration from here on misses nothing. */
  | { readonly kind: 'listening' }
  | { readonly kind: 'events'; readonly events: readonly RawEvent[] }
  /** Answers any question of the parent: it is alive. */
  | { readonly kind: 'here' };

/**
 * Exit status of the child when its socket's buffer overran, because node-udev is deaf from then on (EX_TEMPFAIL of
 * sysexits.h). It is no message: that would wait behind all unread messages.
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
