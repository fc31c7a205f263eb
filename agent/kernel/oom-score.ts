import { closeSync, readFileSync, writeFileSync } from 'node:fs';
import { cgroupOf, isWithin } from './cgroup.js';
import { isSysError } from './errors.js';
import { openAt } from './fs.js';
import { namespacePids } from './pidfd.js';
import { processKey } from './process-key.js';
import { isGone, readUnlessGone } from './read.js';

/** The adjustment of a process (proc_pid_oom_score_adj(5)); undefined when it has gone. */
export function oomScoreOf(pid: number): number | undefined {
  const text = readUnlessGone(`/proc/${pid}/oom_score_adj`);
  return text === undefined ? undefined : Number(text);
}

/** The adjustment that a process must have, by its present one and by its key. */
export type WantedScore = (now: number, process: string) => number;

/**
 * Gives a process of a container the adjustment that `wanted` says; returns whether it was another. Written with
 * CAP_SYS_RESOURCE it is also the least that the process and its children can give themselves (__set_oom_adj in
 * fs/proc/base.c). An engine's own programs in the container's group, which are in our pid namespace, are left alone.
 */
export function adjustOomScore(pid: number, cgroup: string, wanted: WantedScore): boolean {
  let directory: number;
  try {
    directory = openAt(undefined, `/proc/${pid}`);
  } catch (error) {
    if (isSysError(error, 'ENOENT', 'ESRCH')) return false;
    throw error;
  }
  // This directory is one process's for good: another process with that pid is never meant.
  const its = (name: string): string => `/proc/self/fd/${directory}/${name}`;
  try {
    if ((namespacePids(pid)?.length ?? 0) < 2) return false;
    const where = cgroupOf(pid, () => readUnlessGone(its('cgroup')));
    if (where === undefined || !isWithin(where, cgroup)) return false;
    const now = Number(readFileSync(its('oom_score_adj'), 'utf8'));
    const key = processKey(pid, `/proc/self/fd/${directory}`);
    const next = key === undefined ? now : wanted(now, key);
    if (next === now) return false;
    writeFileSync(its('oom_score_adj'), String(next));
    return true;
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  } finally {
    closeSync(directory);
  }
}
