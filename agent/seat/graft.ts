import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { mountPoints, openTree, setReadOnly } from '../kernel/mount.js';
import type { Namespaces } from '../kernel/namespaces.js';
import type { ProcessRef } from '../kernel/process-key.js';
import type { Graft } from './layout.js';

/** The finding at the place of a graft. */
export interface GraftReport {
  readonly target: string;
  /** Files that were there before and are covered now; said, never silent. */
  readonly covers: readonly string[];
}

/** Which grafts are missing in a container: not mounted from this seat's tmpfs on top of their target. */
export async function missingGrafts(
  namespaces: Pick<Namespaces, 'mounts'>,
  process: ProcessRef,
  seatPath: string,
  grafts: readonly Graft[],
): Promise<Graft[]> {
  const ours = mountPoints('self').find((mount) => mount.target === seatPath)?.device;
  const theirs = await namespaces.mounts(process, { targets: grafts.map(({ target }) => `/${target}`) });
  return grafts.filter((graft) => {
    // The last mount on a target is the one on top (proc_pid_mountinfo(5) lists in mount order).
    const top = theirs.filter((mount) => mount.target === `/${graft.target}`).at(-1);
    return top === undefined || top.device !== ours || top.root !== `/${graft.source}`;
  });
}

/** Where any of these seat directories is on top in a container: its grafts, by any maker. The last one first. */
export async function graftsIn(
  namespaces: Pick<Namespaces, 'mounts'>,
  process: ProcessRef,
  seatPaths: readonly string[],
): Promise<string[]> {
  const devices = mountPoints('self').flatMap(({ target, device }) => (seatPaths.includes(target) ? [device] : []));
  const theirs = await namespaces.mounts(process, { devices });
  return theirs
    .filter(({ device, target }) => devices.includes(device) && !seatPaths.includes(target))
    .map(({ target }) => target)
    .reverse();
}

/**
 * Puts seat directories into the mount namespace of a running container, read-only. Targets are resolved below the
 * container's root without following any link (openat2(2)); the only thing ever made inside is a missing directory.
 */
export async function graft(
  namespaces: Namespaces,
  container: ProcessRef & { readonly uid: number; readonly gid: number },
  seatPath: string,
  grafts: readonly Graft[],
): Promise<GraftReport[]> {
  const { uid, gid } = container;
  const open: number[] = [];
  try {
    const mounts = grafts.map(({ source, target }) => {
      const tree = openTree(join(seatPath, source));
      open.push(tree);
      setReadOnly(tree);
      return { tree, target };
    });
    const covered = await namespaces.graft({ process: container, owner: { uid, gid }, mounts });
    return mounts.map(({ target }, index) => ({ target: `/${target}`, covers: covered[index] ?? [] }));
  } finally {
    for (const fd of open) closeSync(fd);
  }
}
