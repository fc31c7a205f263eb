import { statSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupOf, isWithin } from '../kernel/cgroup.js';
import { factOf, type ThreadFacts } from '../kernel/facts.js';
import { namespacePids } from '../kernel/pidfd.js';
import { parentOf, pidOf, processKey, runningKey, startOf } from '../kernel/process-key.js';
import { directoriesUnlessGone, linesUnlessGone, namesIn, readOptional, readUnlessGone } from '../kernel/read.js';
import { realUid } from '../kernel/real-uid.js';
import { lookAt } from '../kernel/statx.js';
import { pidNamespaceOf } from '../kernel/user-namespace.js';
import type { Container } from './engine.js';

/** More groups below a container's than this are not looked into: the container can make any number. */
const mostGroups = 1000;

/** So many processes of a container are looked at one by one: the container can make any number. */
export const mostProcesses = 2000;

/**
 * Pids of a cgroup and of the groups below it (cgroup.procs, cgroups(7)), those of the upper ones first, at most `most`. Throws
 * when one of them cannot be read. `groups`: so many groups are looked into.
 */
export function pidsBelow(cgroup: string, most = mostProcesses, groups = mostGroups): number[] {
  const pids: number[] = [];
  for (const pid of membersOf(cgroup, () => undefined, most, groups)) if (pids.push(pid) >= most) break;
  return pids;
}

/** Some of them, where one of very many is as good as another. */
export const someBelow = (cgroup: string): number[] => pidsBelow(cgroup, 200, 50);

/** Bytes of a line of cgroup.procs: a pid has seven digits at most (PID_MAX_LIMIT in include/linux/threads.h). */
const pidLine = 8;

/**
 * All of them, one group after the other, and of none more than `most`. `leftOut`: is called when groups are left out, because
 * there are over `mostBelow`, or they lie too deep.
 */
function* membersOf(cgroup: string, leftOut: () => void, most: number, mostBelow = mostGroups): Iterable<number> {
  const groups = [cgroup];
  for (let at = 0; at < groups.length; at++) {
    const group = groups[at] ?? '';
    let pids: string[] = [];
    try {
      pids = linesUnlessGone(join(group, 'cgroup.procs'), most * pidLine);
      const left = mostBelow - groups.length;
      const names = directoriesUnlessGone(group, left + 1);
      if (names.length > left) leftOut();
      for (const name of names.slice(0, left)) groups.push(join(group, name));
    } catch (error) {
      if (group === cgroup || !isClosed(error)) throw error;
      if (isTooDeep(error)) leftOut();
    }
    yield* pids.map(Number);
  }
}

/**
 * Errors that a container can cause: by a threaded group, whose processes are listed in the group above (cgroups(7)),
 * and by groups nested so deeply that there is no path to the lowest.
 */
const isClosed = (error: unknown): boolean =>
  isTooDeep(error) || ['EOPNOTSUPP', 'ENOTSUP'].includes((error as NodeJS.ErrnoException).code ?? '');
const isTooDeep = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENAMETOOLONG';

/** A container has so much that nobody looks through it. */
export class Untold extends Error {
  override name = 'Untold';
}

/**
 * The init of a container: the process that is pid 1 of the outermost pid namespace below ours
 * (`namespacePids`). It is among the first `most` processes from the top, or is not found. Throws when that cannot be told.
 * `looked`: is told how many were looked at.
 */
export function findInit(
  cgroup: string,
  most = mostProcesses,
  looked: (processes: number) => void = () => undefined,
): number | undefined {
  let best: { pid: number; depth: number } | undefined;
  let isWhole = true;
  let count = 0;
  const leftOut = (): void => {
    isWhole = false;
  };
  try {
    for (const pid of membersOf(cgroup, leftOut, most + 1)) {
      if (++count > most) break;
      const inside = namespacePids(pid);
      if (inside === undefined || inside.length < 2 || inside.at(-1) !== 1 || runningKey(pid) === undefined) continue;
      if (best === undefined || inside.length < best.depth) best = { pid, depth: inside.length };
      // Nobody is further out. A container can make processes and namespaces below its own, but none directly below ours.
      if (best.depth === 2) return best.pid;
    }
  } finally {
    looked(count);
  }
  if (!isWhole) throw new Untold('too many or too deep groups: which of them is its init cannot be told');
  if (count > most) throw new Untold(`over ${most} processes: which of them is its init cannot be told`);
  return best?.pid;
}

/** Whether a process still is the one of this key, runs, and is in a group or below it. Throws when that cannot be told. */
export function isStill(key: string, pid: number, cgroup: string): boolean {
  const now = groupOf(key, pid);
  return now !== undefined && isWithin(now, cgroup);
}

/** The present group of the process of this key; undefined when it does not run any more. Throws when that cannot be told. */
export const groupOf = (key: string, pid: number): string | undefined =>
  runningKey(pid) === key ? cgroupOf(pid, readUnlessGone) : undefined;

/**
 * Whether processes linger in the group of a container that has ended, now that another one has come. Where both have the same
 * group, these are the processes that began before the other's init, or with it and in another pid namespace. Processes of root's
 * outside all containers are the engine's, such as nspawn's own, and do not count. Where it cannot be told, some may.
 */
export function isLingering(cgroup: string, next: Pick<Container, 'key' | 'cgroup'>): boolean {
  try {
    return lingers(cgroup, next);
  } catch {
    return true;
  }
}

function lingers(cgroup: string, next: Pick<Container, 'key' | 'cgroup'>): boolean {
  const pids = pidsBelow(cgroup, mostProcesses);
  if (pids.length === mostProcesses) return true;
  return pids.some((pid) => {
    const inside = namespacePids(pid);
    if (inside === undefined || isRootsOutside(pid, inside)) return false;
    if (cgroup !== next.cgroup) return true;
    const began = startOf(processKey(pid) ?? next.key) - startOf(next.key);
    // A tick is 10 ms long: of that very one are a process that was left, and those that the other's init has made.
    return began < 0 || (began === 0 && pidNamespaceOf(pid) !== pidNamespaceOf(pidOf(next.key)));
  });
}

/**
 * Whether a daemon of root's of this name runs outside all containers: the kernel keeps 15 bytes of a name
 * (proc_pid_comm(5)), and lists one pid for each pid namespace that a process is in. Anybody may have any name, and a
 * command line that can never be read. A process that Incus's daemon leaves behind for each container keeps the
 * daemon's name when the daemon is gone: LXC's monitor, and its own `incusd fork…`.
 */
export const runs = (program: string): boolean =>
  namesIn('/proc').some(
    (pid) =>
      /^\d+$/.test(pid) &&
      readOptional(`/proc/${pid}/comm`)?.trim() === program.slice(0, 15) &&
      isRootsOutside(Number(pid)) &&
      isDaemons(readOptional(`/proc/${pid}/cmdline`) ?? ''),
  );

/** Of a process that has just begun its program, or has died and was not reaped, the kernel shows a name and no line. */
const isDaemons = (commandLine: string): boolean =>
  commandLine !== '' && !/^(\[lxc monitor\]|[^\0]*\0fork)/.test(commandLine);

/** By its effective uid first (proc_pid(5)): further facts about somebody's process may take long. */
const isRootsOutside = (pid: number, inside = namespacePids(pid)): boolean =>
  inside?.length === 1 && statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid === 0 && realUid(pid) === 0;

/**
 * Whether the engine is done with a container's init: it has a root of its own, and runs another program than the
 * engine's helper that prepared it. Before that, a graft would land in a copy of the host's tree.
 */
export function isSetUp(init: number): boolean {
  const program = programOf(init);
  const parent = parentOf(init);
  return hasOwnRoot(init) && program !== undefined && program !== (parent && programOf(parent));
}

/** Whether a process has left the host's root directory. */
export function hasOwnRoot(pid: number): boolean {
  const root = rootOf(pid);
  return root !== undefined && root !== rootOf(process.pid);
}

/** Whether a process is in our own network namespace: then a message to its udev listeners reaches everybody here. */
export const sharesNetwork = (pid: number): boolean => networkOf(pid) === networkOf(process.pid);

/**
 * Whether a process sees the host's whole tree of cgroups, where its root could leave the group that is guarded: engines do
 * that on hybrid hosts unless told otherwise (Docker's --cgroupns).
 */
export const sharesCgroups = (pid: number): boolean => cgroupsOf(pid) === cgroupsOf(process.pid);

/** Each tells one from another; undefined when the process has gone, or it cannot be told. */
const programOf = (pid: number) => identityOf(pid, 'exe', ({ program }) => program);
const rootOf = (pid: number) => identityOf(pid, 'root/', ({ root }) => root);
const networkOf = (pid: number) => identityOf(pid, 'ns/net', ({ netNamespace }) => `${netNamespace}`);
const cgroupsOf = (pid: number) => identityOf(pid, 'ns/cgroup', ({ cgroupNamespace }) => `${cgroupNamespace}`);

const identityOf = (pid: number, name: string, told: (facts: ThreadFacts) => string): string | undefined =>
  factOf(pid, told, () => lookAt(`/proc/${pid}/${name}`)?.identity) || undefined;
