import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Process } from '../driver/channel.js';
import type { Lab, Seat } from '../driver/lab.js';
import { guestFiles } from '../driver/paths.js';

/**
 * Starts a probe in a seat's container, with the seat's socket in its environment, and waits for its first line: the display server
 * as an ordinary user, what hides descriptors as root.
 */
export async function begunInSeat(
  lab: Lab,
  seat: Seat,
  probe: 'seated' | 'holder',
  ...args: string[]
): Promise<Process> {
  const text = await readFile(join(guestFiles, 'probes', `${probe}.py`));
  const path = `/usr/local/lib/${probe}.py`;
  await lab.inContainer(seat, ['sh', '-c', `cat > ${path}`], { stdin: text });
  const user = probe === 'holder' ? [] : ['setpriv', '--reuid', 'seat', '--regid', 'seat', '--init-groups'];
  const environment = ['env', 'LIBSEAT_BACKEND=seatd', 'SEATD_SOCK=/dev/input/seatd.sock'];
  const process = lab.start(['lxc-attach', '-n', seat, '--', ...user, ...environment, 'python3', path, ...args]);
  const ended = process.done.then(({ stderr }) => {
    throw new Error(`${process.argv.join(' ')} ended at once: ${stderr}`);
  });
  ended.catch(() => undefined);
  const began = lab.until(`${probe} to begin`, async () => process.stdout.includes('\n'), 30_000);
  await Promise.race([began, ended]);
  return process;
}
