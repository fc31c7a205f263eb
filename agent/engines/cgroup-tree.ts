import { type FSWatcher, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { directoriesIn } from '../kernel/read.js';

/**
 * Cgroups whose paths match one of some patterns, level by level, and word of whatever may change the answer: the kernel
 * tells inotify of mkdir and rmdir in cgroupfs, and of every change of `cgroup.events` (populated, frozen; cgroup-v2.rst).
 */
export class CgroupTree {
  private watchers = new Map<string, FSWatcher>();

  constructor(
    private readonly root: string,
    private readonly paths: readonly (readonly RegExp[])[],
    private readonly changed: () => void,
  ) {}

  /** Absolute paths of those that are there now. Everything on the way to them is watched from here on. */
  find(): string[] {
    const former = this.watchers;
    this.watchers = new Map();
    // Watched before it is read: what appears in between is heard of, not missed.
    const found = new Set(this.paths.flatMap((patterns) => this.below(this.root, patterns, former)));
    for (const cgroup of found) this.keep(join(cgroup, 'cgroup.events'), former, () => this.changed());
    for (const [key, watcher] of former) if (!this.watchers.has(key)) watcher.close();
    return [...found];
  }

  close(): void {
    for (const watcher of this.watchers.values()) watcher.close();
    this.watchers.clear();
  }

  private below(directory: string, [pattern, ...deeper]: readonly RegExp[], former: Map<string, FSWatcher>): string[] {
    if (pattern === undefined) return [directory];
    // All patterns share one watcher a directory; it wakes for any name that one of them could go through.
    const depth = directory === this.root ? 0 : directory.slice(this.root.length + 1).split('/').length;
    this.keep(directory, former, (name) => {
      if (this.paths.some((path) => path[depth]?.test(name ?? '') === true)) this.changed();
    });
    return directoriesIn(directory)
      .filter((name) => pattern.test(name))
      .flatMap((name) => this.below(join(directory, name), deeper, former));
  }

  private keep(path: string, former: ReadonlyMap<string, FSWatcher>, heard: (name: string | null) => void): void {
    try {
      // By inode as well: a watch ends with its directory, and another one may have taken the name since.
      const key = `${path} ${statSync(path).ino}`;
      if (this.watchers.has(key)) return;
      const watcher = former.get(key) ?? watch(path, { persistent: false }, (_event, name) => heard(name));
      this.watchers.set(key, watcher);
    } catch {
      // Removed since it was listed: its parent's watcher tells of it.
    }
  }
}
