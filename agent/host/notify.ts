import { setTimeout as sleep } from 'node:timers/promises';
import { isSysError } from '../kernel/errors.js';
import { sendUnixDatagram } from '../kernel/unix-datagram.js';

/** Messages for the service manager (sd_notify(3)). */
export type State = 'READY=1' | 'STOPPING=1' | 'WATCHDOG=1' | `STATUS=${string}`;

/** A manager that is busy, as one is that reloads its units, gets the message later: after this, and no later than that, ms. */
const again = { every: 50, until: 10_000 };

/**
 * Tells systemd how the service is; nothing happens when systemd did not start us. From this process itself, so that
 * `NotifyAccess=main` is enough.
 * @throws SysError when nobody takes it
 */
export async function notify(...states: readonly State[]): Promise<void> {
  const socket = process.env['NOTIFY_SOCKET'];
  if (socket === undefined) return;
  // Each line is a message of its own: a status must not bring any other.
  const text = states.map((state) => state.replaceAll('\n', ' ')).join('\n');
  const end = Date.now() + again.until;
  for (;;) {
    try {
      sendUnixDatagram(socket, text);
      return;
    } catch (error) {
      if (!isSysError(error, 'EAGAIN') || Date.now() > end) throw error;
    }
    await sleep(again.every);
  }
}
