// The bench's programs in the lab's PC.

import { readFile } from 'node:fs/promises';
import type { Lab } from '../../lab/driver/lab.js';
import { HOTSEAT_UNIT } from '../../lab/driver/service.js';
import { compiled } from '../native/floor.js';
import { type Way, waysOf } from './timeline.js';

/** @throws Error when there is no C compiler: without programs that are quick there is nothing to measure with. */
export async function putPrograms(lab: Lab): Promise<void> {
  const sources = { probe: 'lab/probe.c', say: 'lab/say.c', floor: 'native/floor.c' };
  await lab.sh('mkdir -p /opt/bench');
  for (const [name, source] of Object.entries(sources)) {
    const built = await compiled(source, ['-static']);
    if (built === undefined) throw new Error('there is no C compiler (Debian: gcc), and the probes in the PC are in C');
    await lab.putFile(`/opt/bench/${name}`, await readFile(built.program), 0o755);
    built.remove();
  }
  await lab.sh('modprobe uinput');
}

/** The watched thing. */
export interface Look {
  /** Pid of the init of the container that gets the keyboards. */
  readonly pid: string;
  readonly mode: 'one' | 'burst' | 'watch';
  readonly count: number;
  /** Of the keyboards. */
  readonly name: string;
  readonly bare?: boolean;
  /** Done once the probe listens. */
  readonly act?: () => Promise<void>;
}

export async function probe(lab: Lab, { pid, mode, count, name, bare, act }: Look): Promise<Way[]> {
  const group = await lab.sh(`echo /sys/fs/cgroup$(sed -n 's/^0:://p' /proc/${pid}/cgroup)`);
  const words = [pid, group, mode, String(count), name, ...(bare === true ? ['bare'] : [])];
  const process = lab.start(['/opt/bench/probe', ...words], { timeoutMs: 120_000 + 2000 * count });
  if (act !== undefined) {
    await lab.until('the probe to listen', async () => process.stdout.includes('ready'));
    await act();
  }
  const { code, stdout, stderr } = await process.done;
  if (code !== 0) throw new Error(`probe ${words.join(' ')}: ${stderr}${stdout}`);
  return waysOf(stdout);
}

export async function agent(lab: Lab, verb: 'start' | 'stop' | 'restart'): Promise<void> {
  await lab.sh(`systemctl ${verb} ${HOTSEAT_UNIT}`, { timeoutMs: 120_000 });
}
