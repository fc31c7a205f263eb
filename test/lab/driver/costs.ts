// How much processor time an emulated PC took: with HOTSEAT_LAB_COSTS=1 the driver says it when the PC goes off. Seconds of a
// clock tell little on a machine that does other work as well.

import { readdir, readFile } from 'node:fs/promises';

const ticksPerSecond = 100; // _SC_CLK_TCK, the same on every Linux of these architectures

/** Says how many seconds of processor time QEMU took, in all and in each of its kinds of threads. */
export async function sayCosts(pid: number | undefined): Promise<void> {
  if (process.env['HOTSEAT_LAB_COSTS'] === undefined || pid === undefined) return;
  const tasks = `/proc/${pid}/task`;
  const kinds = new Map<string, number>();
  for (const task of await readdir(tasks).catch(() => [])) {
    const stat = await readFile(`${tasks}/${task}/stat`, 'utf8').catch(() => '');
    const [, name, rest = ''] = /\((.*)\) (.*)/.exec(stat) ?? [];
    // A thread that has ended meanwhile.
    if (name === undefined) continue;
    const fields = rest.split(' ');
    kinds.set(name, (kinds.get(name) ?? 0) + (Number(fields[11]) + Number(fields[12])) / ticksPerSecond);
  }
  const parts = [...kinds].filter(([, s]) => s >= 0.1).map(([name, s]) => `${name} ${s.toFixed(1)}`);
  const whole = [...kinds.values()].reduce((a, b) => a + b, 0);
  // A process that has ended already has said it.
  if (whole > 0) console.log(`QEMU took ${whole.toFixed(1)} s of processor time: ${parts.join(', ')}`);
}
