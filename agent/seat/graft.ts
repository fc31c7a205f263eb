import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { listDirectory, mkdirInRoot, openInRoot, openRoot } from '../kernel/fs.js';
import { mountPoints, openTree, setReadOnly } from '../kernel/mount.js';
import type { Namespaces } from '../kernel/namespaces.js';
import type { Graft } from './layout.js';

/** What was found where a graft belongs. */
export interface GraftReport {
  readonly target: string;
  /** Files that were there before and are covered now; said, never silent. */
  readonly covers: readonly string[];
}

/** Which grafts are missing in a container: not mounted from this seat's tmpfs on top of their target. */
export function missingGrafts(pid: number, seatPath: string, grafts: readonly Graft[]): Graft[] {
  const ours = mountPoints('self').find((mount) => mount.target === seatPath)?.device;
  const theirs = mountPoints(pid);
  return grafts.filter((graft) => {
    // The last mount on a target is the one on top (proc_pid_mountinfo(5) lists in mount order).
    const top = theirs.filter((mount) => mount.target === `/${graft.target}`).at(-1);
    return top === undefined || top.device !== ours || top.root !== `/${graft.source}`;
  });
}

/**
 * Puts seat directories into the mount namespace of a running container, read-only. Targets are resolved below the
 * container's root without following any link (openat2(2)); the only thing ever made inside is a missing directory.
 */
export async function graft(
  namespaces: Namespaces,
  container: { readonly pid: number; readonly uid: number; readonly gid: number },
  seatPath: string,
  grafts: readonly Graft[],
): Promise<GraftReport[]> {
  const root = openRoot(container.pid);
  const open: number[] = [root];
  try {
    const reports: GraftReport[] = [];
    const mounts = grafts.map(({ source, target }) => {
      mkdirInRoot(root, target, 0o755, container);
      const targetFd = openInRoot(root, target);
      open.push(targetFd);
      reports.push({ target: `/${target}`, covers: listDirectory(targetFd) });
      const tree = openTree(join(seatPath, source));
      open.push(tree);
      setReadOnly(tree);
      return { tree, target: targetFd };
    });
    await namespaces.moveMounts(container.pid, mounts);
    return reports;
  } finally {
    for (const fd of open) closeSync(fd);
  }
}
