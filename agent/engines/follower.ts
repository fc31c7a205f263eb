import { Subject } from 'rxjs';
import { readOptional } from '../kernel/read.js';
import { CgroupTree } from './cgroup-tree.js';
import type { Dialect, Identity } from './dialect.js';
import type { Container, Engine } from './engine.js';
import { idMap } from './id-map.js';
import { findInit, hasOwnRoot, isSetUp, processKey } from './process.js';

/**
 * An engine's containers, found by their cgroups and followed by inotify. The engine itself is never asked, so that one
 * that is slow, hung or gone delays nobody: what runs, runs.
 */
export class Follower implements Engine {
  readonly changes = new Subject<void>();
  problem: string | undefined;
  private readonly tree: CgroupTree;
  /** By `pid:starttime`: what identifies a container, such as the engine's monitor, may die before it does. */
  private identities = new Map<string, Identity>();

  /** `cgroupRoot`: the mount point of the cgroup2 hierarchy. */
  constructor(
    cgroupRoot: string,
    private readonly dialect: Dialect,
  ) {
    this.tree = new CgroupTree(cgroupRoot, dialect.paths, () => this.changes.next());
  }

  get name(): Dialect['engine'] {
    return this.dialect.engine;
  }

  /** Containers that have an init now. */
  list(): Container[] {
    const known = this.identities;
    this.identities = new Map();
    this.problem = undefined;
    return this.tree.find().flatMap((cgroup) => this.describe(cgroup, known) ?? []);
  }

  close(): void {
    this.tree.close();
    this.changes.complete();
  }

  private describe(cgroup: string, known: ReadonlyMap<string, Identity>): Container | undefined {
    const pid = findInit(cgroup);
    if (pid === undefined) return undefined;
    const key = processKey(pid);
    const uid = idMap(pid, 'uid_map')(0);
    const gid = idMap(pid, 'gid_map')(0);
    if (key === undefined || uid === undefined || gid === undefined) return undefined;
    const identity = known.get(key) ?? this.identify(pid, cgroup);
    if (identity === undefined) return undefined;
    this.identities.set(key, identity);
    const frozen = /^frozen 1$/m.test(readOptional(`${cgroup}/cgroup.events`) ?? '');
    const state = isSetUp(pid) ? (frozen ? 'frozen' : 'running') : 'setup';
    const openable = state !== 'setup' || this.dialect.attachesOnce;
    return {
      engine: this.dialect.engine,
      ...identity,
      pid,
      key,
      cgroup,
      uid,
      gid,
      state,
      rooted: hasOwnRoot(pid),
      openable,
    };
  }

  /** An engine that says nonsense about one container must not hide its others. */
  private identify(init: number, cgroup: string): Identity | undefined {
    try {
      return this.dialect.identify({ init, cgroup });
    } catch (error) {
      this.problem = `the container in ${cgroup} cannot be named: ${(error as Error).message}`;
      return undefined;
    }
  }
}
