import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { cgroupId, freeze, isFrozen, isToFreeze, thaw } from '../kernel/cgroup.js';
import { readUnlessGone } from '../kernel/read.js';

/** Longest that stopping a container, or letting it go on, may take. */
const limit = { timeoutMs: 2000 };

/**
 * Does something while no process of a container can act. A container that its admin has frozen stays so. `still` is
 * false when not all could be stopped: a process that waits inside the kernel cannot be, and a container can make a
 * process wait for ever. `mark`: a file that names the container meanwhile, for the agent that comes after a killed one
 * in between; another container of the same path, which its admin may have frozen, is another one.
 * A path is enough: no group of cgroup2 can be renamed (cgroup_kf_syscall_ops, kernel/cgroup/cgroup.c), and only root can remove
 * the group of a container of root's, because the one above it is root's. A user can remove his and make another one, but he can also
 * move processes out of it: what leaves his container is bound again in any case.
 */
export async function whileStill<T>(cgroup: string, mark: string, act: (still: boolean) => Promise<T>): Promise<T> {
  if (isGone(cgroup) || isFrozen(cgroup)) return act(true);
  if (isToFreeze(cgroup)) return act(await freeze(cgroup, limit));
  mkdirSync(dirname(mark), { recursive: true, mode: 0o700 });
  writeFileSync(mark, `${cgroup}\n${cgroupId(cgroup)}`, { mode: 0o600 });
  try {
    return await act(await freeze(cgroup, limit));
  } finally {
    await goOn(mark);
  }
}

/** By mark. */
const going = new Map<string, Promise<void>>();

/**
 * Lets the container go on that a mark names; nothing happens without one. Throws when it cannot be told, for another try. A second
 * caller waits for the first one's work, so that nobody removes a later mark.
 */
export async function goOn(mark: string): Promise<void> {
  const present = going.get(mark) ?? thawed(mark).finally(() => going.delete(mark));
  going.set(mark, present);
  await present;
}

async function thawed(mark: string): Promise<void> {
  const text = readUnlessGone(mark);
  if (text === undefined) return;
  // A mark of a former version has no id.
  const [cgroup = '', id] = text.split('\n');
  const isThere = (): boolean => !isGone(cgroup) && (id === undefined || String(cgroupId(cgroup)) === id);
  if (isThere() && !(await thaw(cgroup, limit)) && isThere()) {
    throw new Error(`${cgroup} was not thawed within ${limit.timeoutMs} ms`);
  }
  rmSync(mark, { force: true });
}

const isGone = (cgroup: string): boolean => readUnlessGone(`${cgroup}/cgroup.events`) === undefined;
