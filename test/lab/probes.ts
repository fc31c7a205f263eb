// Small programs that tests run in the guest: they read, hold and try to steal devices.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Process } from './channel.js';
import type { Lab, Seat } from './lab.js';
import { guestFiles } from './paths.js';

type Probe = 'raw-reader' | 'holder' | 'intruder';

/** Starts a probe on the host and waits for its first line, which says that it is at work. */
export async function onHost(lab: Lab, probe: Probe, ...args: string[]): Promise<Process> {
  const path = `/root/${probe}.py`;
  await lab.putFile(path, await readFile(join(guestFiles, 'probes', `${probe}.py`)), 0o755);
  return begun(lab, lab.start(['python3', path, ...args]));
}

/** The same as root of a seat's container. */
export async function inSeat(lab: Lab, seat: Seat, probe: Probe, ...args: string[]): Promise<Process> {
  const text = await readFile(join(guestFiles, 'probes', `${probe}.py`));
  const path = `/root/${probe}.py`;
  await lab.inContainer(seat, ['sh', '-c', `cat > ${path}`], { stdin: text });
  return begun(lab, lab.start(['lxc-attach', '-n', seat, '--', 'python3', path, ...args]));
}

async function begun(lab: Lab, process: Process): Promise<Process> {
  await lab.until(`${process.argv.join(' ')} to begin`, async () => process.stdout.includes('\n'), 30_000);
  return process;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
