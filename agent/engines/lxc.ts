import { type FSWatcher, readdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import { Subject } from 'rxjs';
import { readOptional } from '../kernel/read.js';
import type { Container, Engine } from './engine.js';
import { findInit, isSetUp, mappedRoot, startTime } from './process.js';

/** LXC's default `lxc.cgroup.dir` pattern for a container's own processes (lxc.container.conf(5)). */
const prefix = 'lxc.payload.';

/**
 * Containers of LXC, found by their payload cgroups and followed by inotify: the kernel tells of mkdir and rmdir in
 * cgroupfs, and of every change of `cgroup.events` (populated, frozen; cgroup-v2.rst). LXC itself is never asked,
 * so a slow or hung `lxc-*` can delay nobody.
 */
export class LxcEngine implements Engine {
  readonly name = 'lxc';
  readonly changes = new Subject<void>();
  private readonly parent: FSWatcher;
  private readonly groups = new Map<string, FSWatcher>();

  /** `cgroupRoot`: the mount point of the cgroup2 hierarchy. */
  constructor(private readonly cgroupRoot: string) {
    this.parent = watch(cgroupRoot, { persistent: false }, (_event, name) => {
      if (name?.startsWith(prefix) === true) this.changes.next();
    });
  }

  /** Containers that have an init now; two LXC paths may hold one name, LXC then numbers the cgroups (`left-1`). */
  list(): Container[] {
    const names = readdirSync(this.cgroupRoot).filter((name) => name.startsWith(prefix));
    this.follow(names);
    return names.flatMap((name) => this.describe(name) ?? []);
  }

  close(): void {
    this.parent.close();
    for (const watcher of this.groups.values()) watcher.close();
    this.groups.clear();
    this.changes.complete();
  }

  private follow(names: readonly string[]): void {
    for (const [name, watcher] of this.groups) {
      if (names.includes(name)) continue;
      watcher.close();
      this.groups.delete(name);
    }
    for (const name of names) {
      if (this.groups.has(name)) continue;
      try {
        const file = join(this.cgroupRoot, name, 'cgroup.events');
        this.groups.set(
          name,
          watch(file, { persistent: false }, () => this.changes.next()),
        );
      } catch {
        // Removed between readdir and here; the parent's watcher tells of the removal.
      }
    }
  }

  private describe(directory: string): Container | undefined {
    const cgroup = join(this.cgroupRoot, directory);
    const pid = findInit(cgroup);
    if (pid === undefined) return undefined;
    const start = startTime(pid);
    const uid = mappedRoot(pid, 'uid_map');
    const gid = mappedRoot(pid, 'gid_map');
    if (start === undefined || uid === undefined || gid === undefined) return undefined;
    const frozen = /^frozen 1$/m.test(readOptional(join(cgroup, 'cgroup.events')) ?? '');
    return {
      engine: 'lxc',
      name: containerName(pid) ?? directory.slice(prefix.length),
      pid,
      key: `${pid}:${start}`,
      cgroup,
      uid,
      gid,
      state: isSetUp(pid) ? (frozen ? 'frozen' : 'running') : 'setup',
    };
  }
}

/** The name as LXC's monitor carries it in its title: `[lxc monitor] /var/lib/lxc left` (lxc_monitor's setproctitle). */
function containerName(init: number): string | undefined {
  const parent = /^PPid:\s*(\d+)$/m.exec(readOptional(`/proc/${init}/status`) ?? '')?.[1];
  if (parent === undefined) return undefined;
  const title = (readOptional(`/proc/${parent}/cmdline`) ?? '').split('\0')[0] ?? '';
  return /^\[lxc monitor\] \S+ (\S+)\s*$/.exec(title)?.[1];
}
