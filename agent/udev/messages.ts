/** What the udev child process tells its parent. */
export type ChildMessage =
  /** It listens now: what is enumerated from here on misses nothing. */
  | { readonly kind: 'listening' }
  | { readonly kind: 'events'; readonly events: readonly RawEvent[] }
  /** The socket's buffer overran; the child ends after this, because node-udev is deaf from then on. */
  | { readonly kind: 'overrun'; readonly drops: number };

/** One of udevd's messages. */
export interface RawEvent {
  readonly action: string;
  readonly syspath: string;
  readonly properties: Readonly<Record<string, string>>;
  /** When the child received it: CLOCK_MONOTONIC in ns, decimal. */
  readonly receivedNs: string;
}

export const subsystems: readonly string[] = ['input', 'sound', 'drm'];
