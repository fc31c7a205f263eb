// Small programs that tests run in the guest: they read, hold and try to steal devices.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Process } from './channel.js';
import type { Lab, Seat } from './lab.js';
import { guestFiles } from './paths.js';

type Probe = 'holder' | 'intruder';

/** Reads the host's foreground console raw, as an eavesdropper would: the text behind `reading` has leaked. */
export function eavesdrop(lab: Lab): Promise<Process> {
  // Open from before it says so: keys are lost while nobody has a console open.
  const script = 'exec 3</dev/tty1 && stty raw -echo <&3 && echo reading && exec cat <&3';
  return begun(lab, lab.start(['sh', '-c', script]));
}

/** Starts a probe as root of a seat's container and waits for its first line, which says that it is at work. */
export async function inSeat(lab: Lab, seat: Seat, probe: Probe, ...args: string[]): Promise<Process> {
  const text = await readFile(join(guestFiles, 'probes', `${probe}.py`));
  const path = `/root/${probe}.py`;
  await lab.inContainer(seat, ['sh', '-c', `cat > ${path}`], { stdin: text });
  return begun(lab, lab.start(['lxc-attach', '-n', seat, '--', 'python3', path, ...args]));
}

async function begun(lab: Lab, process: Process): Promise<Process> {
  const ended = process.done.then(({ stderr }) => {
    throw new Error(`${process.argv.join(' ')} ended at once: ${stderr}`);
  });
  ended.catch(() => undefined);
  const began = lab.until(`${process.argv.join(' ')} to begin`, async () => process.stdout.includes('\n'), 30_000);
  await Promise.race([began, ended]);
  return process;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
