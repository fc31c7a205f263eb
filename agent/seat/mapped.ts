import { type DeviceNumber, numberText } from '../core/device.js';
import { mostProcesses, pidsBelow } from '../engines/process.js';
import type { Namespaces } from '../kernel/namespaces.js';
import { processKey } from '../kernel/process-key.js';

/**
 * Which processes of a group have one of the devices mapped, in words. It also names processes that do not let that be seen. No
 * descriptor tells of a mapping: a graphics card of which one is left has its master still.
 */
export async function mappedIn(
  namespaces: Pick<Namespaces, 'hasMapped'>,
  cgroup: string,
  numbers: readonly DeviceNumber[],
): Promise<string[]> {
  const texts = numbers.map(numberText);
  const pids = pidsBelow(cgroup, mostProcesses);
  if (pids.length === mostProcesses) return [`over ${mostProcesses} processes in ${cgroup}: too many to look at`];
  const found: string[] = [];
  for (const pid of pids) {
    const key = processKey(pid);
    if (key === undefined) continue;
    const why = await namespaces.hasMapped({ pid, key }, texts).then(
      (has) => (has ? 'has it mapped' : undefined),
      (error: Error) => (processKey(pid) === key ? error.message : undefined),
    );
    if (why !== undefined) found.push(`pid ${pid}: ${why}`);
  }
  return found;
}
