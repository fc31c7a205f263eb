import { statSync } from 'node:fs';
import { join } from 'node:path';
import { CalmWatch } from '../kernel/calm-watch.js';
import { directoriesUnlessGone } from '../kernel/read.js';

const slice = /\/user-(\d+)\.slice\//;

/** So many groups that one user may have made are looked at and watched: root's watches are counted, and a look takes time. */
const mostOfOne = 500;

/**
 * Cgroups whose paths match one of some patterns, level by level, and word of everything that may change the answer: the kernel
 * tells inotify of mkdir and rmdir in cgroupfs, and of every change of `cgroup.events` (populated, frozen; cgroup-v2.rst).
 */
export class CgroupTree {
  /** Where there are more groups than are looked at, after the last `find`. */
  overfull: string | undefined;
  private watchers = new Map<string, CalmWatch>();
  /** How many more groups of a user are looked at, by uid. */
  private readonly left = new Map<number, number>();
  /** Names of the groups in each group on the way, in the `find` that is under way: several patterns go the same way. */
  private readonly listed = new Map<string, string[]>();

  constructor(
    private readonly root: string,
    private readonly paths: readonly (readonly RegExp[])[],
    private readonly changed: () => void,
  ) {}

  /**
   * Absolute paths of those that are there now. Everything on the way to them is watched from here on. Throws when a
   * group cannot be read; the former watches stay then.
   */
  find(): string[] {
    const former = this.watchers;
    this.watchers = new Map();
    try {
      return this.findBeside(former);
    } catch (error) {
      this.watchers = new Map([...former, ...this.watchers]);
      throw error;
    }
  }

  private findBeside(former: Map<string, CalmWatch>): string[] {
    this.left.clear();
    this.listed.clear();
    this.overfull = undefined;
    // Watched before it is read: a group that appears in between is heard of, not missed.
    const found = new Set(this.paths.flatMap((patterns) => this.below(this.root, patterns, former)));
    for (const cgroup of found) this.keep(join(cgroup, 'cgroup.events'), former, () => this.changed());
    for (const [key, watcher] of former) if (!this.watchers.has(key)) watcher.close();
    return [...found];
  }

  close(): void {
    for (const watcher of this.watchers.values()) watcher.close();
    this.watchers.clear();
  }

  private below(directory: string, [pattern, ...deeper]: readonly RegExp[], former: Map<string, CalmWatch>): string[] {
    if (pattern === undefined) return [directory];
    const names = this.listed.get(directory) ?? this.list(directory, former);
    return names
      .filter((name) => pattern.test(name))
      .flatMap((name) => this.below(join(directory, name), deeper, former));
  }

  private list(directory: string, former: Map<string, CalmWatch>): string[] {
    // All patterns share one watcher a directory; it wakes for any name that one of them could go through.
    const depth = directory === this.root ? 0 : directory.slice(this.root.length + 1).split('/').length;
    this.keep(directory, former, (name) => {
      if (this.paths.some((path) => path[depth]?.test(name ?? '') === true)) this.changed();
    });
    const names = this.namesIn(directory);
    this.listed.set(directory, names);
    return names;
  }

  /** Names of the groups in a group. Of a user's group, no more names than are left of that user's budget. */
  private namesIn(directory: string): string[] {
    // All groups below a user's slice are there because of that user, also root's.
    const uid = Number(slice.exec(directory)?.[1] ?? statSync(directory, { throwIfNoEntry: false })?.uid ?? 0);
    if (uid === 0) return directoriesUnlessGone(directory);
    const left = this.left.get(uid) ?? mostOfOne;
    const names = directoriesUnlessGone(directory, left + 1);
    if (names.length > left) this.overfull = directory;
    this.left.set(uid, left - Math.min(names.length, left));
    return names.slice(0, left);
  }

  private keep(path: string, former: ReadonlyMap<string, CalmWatch>, heard: (name: string | null) => void): void {
    try {
      // By inode as well: a watch ends with its directory, and another one may have taken the name since.
      const key = `${path} ${statSync(path).ino}`;
      if (this.watchers.has(key)) return;
      const watcher = former.get(key) ?? new CalmWatch(path, { heard, rested: () => this.forget(key) });
      this.watchers.set(key, watcher);
    } catch {
      // Removed since it was listed: its parent's watcher tells of it.
    }
  }

  /** The next look watches there again. */
  private forget(key: string): void {
    this.watchers.delete(key);
    this.changed();
  }
}
