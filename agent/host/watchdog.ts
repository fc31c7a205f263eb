import type { Logger } from 'pino';
import { notify } from './notify.js';

/** How the agent's parts are, as far as a hang of theirs can be seen. */
export interface Pulse {
  /** Since the udev process has last been heard of, ms: it answers every 30 s, and is replaced when it does not. */
  readonly udevSilentMs: number;
  /** Seats that are being brought up to date, and for how long now, ms. */
  readonly busy: readonly { readonly seat: string; readonly ms: number }[];
}

/**
 * Longest that each may take, ms, before nothing but a new start helps. The udev process is replaced after 60 s at the
 * latest; each wait of a seat's run is limited to 10 s.
 */
const limits = { udev: 120_000, seat: 180_000 };

/** Why the agent does no longer do its work, in words; undefined while it does. */
export function ailment({ udevSilentMs, busy }: Pulse): string | undefined {
  const seconds = (ms: number): string => `${Math.floor(ms / 1000)} s`;
  if (udevSilentMs > limits.udev) return `nothing was heard of udev for ${seconds(udevSilentMs)}`;
  const stuck = busy.find(({ ms }) => ms > limits.seat);
  return stuck && `seat ${stuck.seat} has been at one change for ${seconds(stuck.ms)}`;
}

/** Within what time systemd wants to hear of this process again, ms (sd_watchdog_enabled(3)); undefined when it does not. */
export function watchdogMs({ WATCHDOG_USEC, WATCHDOG_PID }: NodeJS.ProcessEnv): number | undefined {
  if (WATCHDOG_PID !== undefined && WATCHDOG_PID !== String(process.pid)) return undefined;
  const ms = Math.floor(Number(WATCHDOG_USEC) / 1000);
  return ms > 0 ? ms : undefined;
}

/**
 * Tells systemd that the agent is alive for as long as it is: the timer shows that the event loop turns, `look` the
 * state of the rest. An agent that hangs falls silent, and systemd starts it again. The returned function ends it.
 */
export function keepWatch(log: Logger, look: () => Pulse): () => void {
  const within = watchdogMs(process.env);
  if (within === undefined) return () => undefined;
  const timer = setInterval(() => {
    const ill = ailment(look());
    if (ill !== undefined) {
      log.error({ ill }, 'the agent hangs: systemd is not told that it is alive, and will start it again');
      return;
    }
    // systemd counts from the last message that it got: a single lost message does not matter.
    void notify('WATCHDOG=1').catch((error: unknown) => log.warn({ err: error }, 'systemd was not told'));
  }, within / 3);
  timer.unref();
  return () => clearInterval(timer);
}
