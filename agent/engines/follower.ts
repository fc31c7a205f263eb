import type { Logger } from 'pino';
import { Subject } from 'rxjs';
import { readOptional } from '../kernel/read.js';
import { CgroupTree } from './cgroup-tree.js';
import type { Dialect, Identity } from './dialect.js';
import type { Container, Engine } from './engine.js';
import { idMap } from './id-map.js';
import { findInit, hasOwnRoot, isSetUp, processKey } from './process.js';
import { type Heard, Hearing } from './streams/hearing.js';

/**
 * An engine's containers, found by their cgroups and followed by inotify and by what the engine says of itself. It is never
 * asked about anything, so that one that is slow, hung or gone delays nobody: what runs, runs.
 */
export class Follower implements Engine {
  readonly changes = new Subject<void>();
  problem: string | undefined;
  private readonly tree: CgroupTree;
  /** By `pid:starttime`: what identifies a container, such as the engine's monitor, may die before it does. */
  private identities = new Map<string, Identity>();
  /** The engine has said something since the last look: a container may have got another name. */
  private told = false;
  private readonly hearing: Hearing;

  /** `cgroupRoot`: the mount point of the cgroup2 hierarchy. */
  constructor(
    cgroupRoot: string,
    private readonly dialect: Dialect,
    log?: Logger,
  ) {
    this.tree = new CgroupTree(cgroupRoot, dialect.paths, () => this.changes.next());
    const heard = (): void => {
      this.told = true;
      this.changes.next();
    };
    this.hearing = new Hearing(heard, (place, reason) => {
      const facts = { engine: dialect.engine, place, reason };
      log?.info(facts, reason === undefined ? "the engine's events are heard" : "the engine's events are not heard");
    });
  }

  get name(): Dialect['engine'] {
    return this.dialect.engine;
  }

  attend(users: ReadonlySet<string | undefined>): void {
    this.hearing.attend(users.size === 0 ? [] : this.dialect.streams([...users]));
  }

  get heard(): readonly Heard[] {
    return this.hearing.now;
  }

  /** Containers that have an init now. */
  list(): Container[] {
    const known = this.identities;
    const anew = this.told && this.dialect.renames;
    this.identities = new Map();
    this.told = false;
    this.problem = undefined;
    return this.tree.find().flatMap((cgroup) => this.describe(cgroup, known, anew) ?? []);
  }

  close(): void {
    this.hearing.attend([]);
    this.tree.close();
    this.changes.complete();
  }

  private describe(cgroup: string, known: ReadonlyMap<string, Identity>, anew: boolean): Container | undefined {
    const pid = findInit(cgroup);
    if (pid === undefined) return undefined;
    const key = processKey(pid);
    const uid = idMap(pid, 'uid_map')(0);
    const gid = idMap(pid, 'gid_map')(0);
    if (key === undefined || uid === undefined || gid === undefined) return undefined;
    const former = known.get(key);
    const identity = former === undefined || anew ? (this.identify(pid, cgroup) ?? former) : former;
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
