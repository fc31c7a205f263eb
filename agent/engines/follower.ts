import type { Logger } from 'pino';
import { Subject } from 'rxjs';
import { isWithin } from '../kernel/cgroup.js';
import type { Inits } from '../kernel/inits.js';
import { pidOf, processKey, runningKey } from '../kernel/process-key.js';
import { inodeOf, readUnlessGone } from '../kernel/read.js';
import { CgroupTree } from './cgroup-tree.js';
import type { Dialect, Identity } from './dialect.js';
import type { Container, ContainerState } from './engine.js';
import { nobody, type RootIds, rootIds } from './id-map.js';
import { type CommandLine, Monitors } from './monitor.js';
import { findInit, groupOf, hasOwnRoot, isSetUp, isStill, mostProcesses, someBelow, Untold } from './process.js';
import { isVouchedFor } from './provenance.js';
import { type Heard, Hearing } from './streams/hearing.js';
import { pathsFor, uidOf, userOf } from './users.js';

/** So many processes of a user are looked at for inits, in all his groups and at one look. */
const mostOfUser = 10_000;

/**
 * A look that was in vain, because nobody can tell which process is an init, is taken again after so many times its own length, and
 * not before so long, ms.
 */
const inVain = { times: 50, ms: 1000 };

/** Of so many inits that the kernel told of, each may have ended by now. */
const mostEnded = 200;

/** Facts about a container that stay true as long as its init lives. */
export type Known = Identity & {
  /** Since its engine has handed over to it. */
  readonly ids?: RootIds | undefined;
};

export interface FollowerDeps {
  readonly commandLine: CommandLine;
  readonly log?: Logger | undefined;
  /** The knowledge of a former agent, by `pid:starttime`. */
  readonly known?: ReadonlyMap<string, Known>;
  /** Known containers of other engines. They are not this engine's, even if they look so by now. */
  readonly others?: (key: string) => boolean;
  /** All inits of the PC in this look, where the kernel tells: then nobody looks for them in groups. */
  readonly inits?: (() => Inits) | undefined;
}

/**
 * An engine's containers, found by their cgroups and followed by inotify and by the engine's own events. It is never
 * asked about anything, so that a slow, hung or missing engine delays nobody.
 */
export class Follower {
  /** Emits whenever `list` may answer differently. */
  readonly changes = new Subject<void>();
  /** In words, why the last `list` was not complete. */
  problem: string | undefined;
  /** Groups of containers of which the last `list` could not tell who they are, although they can only be the engine's. */
  untold: readonly string[] = [];
  private tree: CgroupTree;
  /** Whose containers are looked for; undefined: everybody's. */
  private users: ReadonlySet<string | undefined> | undefined;
  /** And which numbers they had at the last look. */
  private uids: string | undefined;
  /** Whose engine is listened to. */
  private attended: readonly (string | undefined)[] = [];
  /** The answer of the last `list`; undefined before the first one. */
  private last: readonly Container[] | undefined;
  /** The init that each group had at the last look. */
  private inits = new Map<string, { readonly pid: number; readonly key: string }>();
  /**
   * By `pid:starttime`: the process that identifies a container, such as the engine's monitor, may die before the
   * container does.
   */
  private known: ReadonlyMap<string, Known>;
  /** The engine has said something since the last look: a container may have got another name. */
  private told = false;
  /** How many processes of each user were looked at, by slice, in this look. */
  private readonly looked = new Map<string, number>();
  /** Inits that were known before this look, and the groups that they are in now; undefined until it is asked for. */
  private recorded: readonly Placed[] | undefined;
  private readonly hearing: Hearing;
  private readonly monitors: Monitors;
  private readonly others: (key: string) => boolean;
  private readonly askInits: (() => Inits) | undefined;
  /** Looks into groups that were in vain, by path and id, and until when they are not taken again, monotonic ms. */
  private vain = new Map<string, { readonly until: number; readonly error: unknown }>();

  /** `cgroupRoot`: the mount point of the cgroup2 hierarchy. */
  constructor(
    private readonly cgroupRoot: string,
    private readonly dialect: Dialect,
    { commandLine, log, known = new Map(), others = () => false, inits }: FollowerDeps,
  ) {
    this.known = known;
    this.others = others;
    this.askInits = inits;
    this.monitors = new Monitors(commandLine, () => this.changes.next());
    this.tree = this.treeOf(dialect.paths);
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

  /** Listens to the engine's own events about containers of these users (undefined: root's). */
  attend(users: ReadonlySet<string | undefined>): void {
    this.attended = [...users];
    this.listen();
    this.changes.next();
  }

  /** From the next look on, looks for containers of these users alone. */
  lookFor(users: ReadonlySet<string | undefined>): void {
    this.users = users;
  }

  /** Users are known by name, their groups by number: an account may come, or get another number. */
  private resolve(): void {
    if (this.users === undefined) return;
    const uids = [...this.users]
      .map((user) => (user === undefined ? 'root' : uidOf(user)))
      .toSorted()
      .join();
    if (uids === this.uids) return;
    this.uids = uids;
    this.tree.close();
    this.tree = this.treeOf(pathsFor(this.dialect.paths, this.users));
    this.listen();
  }

  private listen(): void {
    this.hearing.attend(this.attended.length === 0 ? [] : this.dialect.streams(this.attended));
  }

  /** The streams of its events, while it is attended to. */
  get heard(): readonly Heard[] {
    return this.hearing.now;
  }

  /** The facts about the containers that the last `list` found, by `pid:starttime`. */
  get knows(): ReadonlyMap<string, Known> {
    return this.known;
  }

  /**
   * Containers that have an init now. A container that cannot be read now has not gone: it counts as at the last look, and `problem` says
   * so. Throws when there was none.
   */
  list(): readonly Container[] {
    this.problem = undefined;
    let cgroups: string[];
    try {
      this.resolve();
      cgroups = this.tree.find();
    } catch (error) {
      if (this.last === undefined) throw error;
      this.problem = `containers cannot be listed now, and count as before: ${(error as Error).message}`;
      return this.last;
    }
    const again = this.told && this.dialect.renames;
    const known = new Map<string, Known>();
    this.told = false;
    this.looked.clear();
    this.recorded = undefined;
    this.untold = [];
    for (const [key, { until }] of this.vain) if (until < performance.now()) this.vain.delete(key);
    if (this.tree.overfull !== undefined)
      this.problem = `not all is looked at: too many groups in ${this.tree.overfull}`;
    const inits = new Map<string, Pick<Container, 'pid' | 'key'>>();
    const keys = new Set<string>();
    const found = cgroups.flatMap((cgroup) => {
      const { init, container } = this.lookAt(cgroup, known, again);
      if (init !== undefined) keys.add(init.key);
      // While an engine sets one up, helpers of its own may look like an init.
      if (init !== undefined && container !== undefined && container.state !== 'setup') inits.set(cgroup, init);
      return container ?? [];
    });
    this.known = known;
    this.inits = inits;
    this.last = found;
    this.monitors.keep(keys);
    return found;
  }

  private lookAt(cgroup: string, known: Map<string, Known>, again: boolean): Look {
    try {
      const init = this.initOf(cgroup);
      return { init, container: init && this.describe(cgroup, init, known, again) };
    } catch (error) {
      this.told ||= again;
      const container = this.last?.find((former) => former.cgroup === cgroup);
      const former = container && this.known.get(container.key);
      const isKnown = container !== undefined && former !== undefined;
      const what = isKnown ? 'counts as before' : 'is guarded';
      this.problem = `the container in ${cgroup} cannot be looked at now, and ${what}: ${(error as Error).message}`;
      if (!isKnown) {
        this.isUntold(cgroup);
        return { init: undefined, container: undefined };
      }
      known.set(container.key, former);
      return { init: container, container };
    }
  }

  /** Notes a group of which nobody can tell whose it is, unless others than the engine can have made it. */
  private isUntold(cgroup: string): void {
    if (isVouchedFor(this.cgroupRoot, cgroup)) this.untold = [...this.untold, cgroup];
  }

  /** Settles when the next `list` names all that this one could not name yet. */
  settled(): Promise<void> {
    return this.monitors.settled();
  }

  close(): void {
    this.hearing.attend([]);
    this.tree.close();
    this.changes.complete();
  }

  private treeOf(paths: readonly (readonly RegExp[])[]): CgroupTree {
    return new CgroupTree(this.cgroupRoot, paths, () => this.changes.next());
  }

  /** Not searched for again while it lives. */
  private initOf(cgroup: string): { pid: number; key: string } | undefined {
    const former = this.inits.get(cgroup);
    if (former !== undefined && isStill(former.key, former.pid, cgroup)) return former;
    const recorded = former === undefined ? this.recordedIn(cgroup) : undefined;
    if (recorded !== undefined) return recorded;
    const pid = this.searched(cgroup);
    const key = pid === undefined ? undefined : processKey(pid);
    return pid === undefined || key === undefined ? undefined : { pid, key };
  }

  /** An init that a former agent knew: it can have gone to where nobody lists it. */
  private recordedIn(cgroup: string): { pid: number; key: string } | undefined {
    this.recorded ??= [...this.known].flatMap(([key, { ids }]) => (ids === undefined ? [] : placed(key)));
    return this.recorded.find(({ at }) => isWithin(at, cgroup));
  }

  private searched(cgroup: string): number | undefined {
    if (this.askInits !== undefined) return this.toldIn(cgroup, this.askInits);
    const key = `${cgroup} ${inodeOf(cgroup)}`;
    const vain = this.vain.get(key);
    if (vain !== undefined) throw vain.error;
    const began = performance.now();
    try {
      return this.searchedAmong(cgroup);
    } catch (error) {
      const now = performance.now();
      if (error instanceof Untold)
        this.vain.set(key, { until: now + Math.max(inVain.ms, (now - began) * inVain.times), error });
      throw error;
    }
  }

  /** Of several inits the outermost one, and of these the first one: it lives, and others came later. */
  private toldIn(cgroup: string, ask: () => Inits): number | undefined {
    const inits = ask().get(inodeOf(cgroup) ?? 0n) ?? [];
    const inOrder = inits.toSorted((a, b) => a.depth - b.depth || Number(a.start - b.start));
    const running = inOrder.slice(0, mostEnded).find(({ pid }) => runningKey(pid) !== undefined);
    if (running === undefined && inits.length > mostEnded)
      throw new Untold(`over ${mostEnded} inits have ended meanwhile: which process is its init cannot be told`);
    return running?.pid;
  }

  /** A user has one budget for all his groups: each without an init is gone through again at each look. */
  private searchedAmong(cgroup: string): number | undefined {
    const slice = /\/user-\d+\.slice\//.exec(cgroup)?.[0];
    if (slice === undefined) return findInit(cgroup);
    const left = mostOfUser - (this.looked.get(slice) ?? 0);
    if (left <= 0) throw new Error(`over ${mostOfUser} processes of its user are in groups without an init`);
    return findInit(cgroup, Math.min(left, mostProcesses), (processes) =>
      this.looked.set(slice, (this.looked.get(slice) ?? 0) + processes),
    );
  }

  private describe(
    cgroup: string,
    { pid, key }: { readonly pid: number; readonly key: string },
    known: Map<string, Known>,
    again: boolean,
  ): Container | undefined {
    if (this.others(key)) return undefined;
    const former = this.known.get(key);
    const { name, user } =
      (former === undefined || again ? this.identify(pid, key, cgroup) : undefined) ?? former ?? {};
    if (name === undefined) return undefined;
    const isReady = isSetUp(pid);
    const ids = former?.ids ?? rootIds(pid, () => someBelow(cgroup));
    known.set(key, { name, user, ids: isReady ? ids : former?.ids });
    // Its engine has not mapped its ids yet.
    if (ids === undefined && !isReady) return undefined;
    // It was ready, and the kernel shows nothing of it any more: its init goes on without its first thread.
    const hidden = former?.ids === undefined ? 'setup' : 'unclear';
    const state = isReady ? stateOf(cgroup, ids) : hidden;
    const openable = state !== 'setup' || this.dialect.attachesOnce;
    return {
      engine: this.dialect.engine,
      name,
      user,
      pid,
      key,
      cgroup,
      ...(ids ?? nobody),
      state,
      rooted: hasOwnRoot(pid),
      openable,
    };
  }

  /** An engine that says nonsense about one container must not hide its others. */
  private identify(init: number, key: string, cgroup: string): Identity | undefined {
    // The user who made the groups above it may choose its name.
    if (!isVouchedFor(this.cgroupRoot, cgroup)) return undefined;
    try {
      const title = this.monitors.titleOf(init, key, userOf(cgroup));
      return title && this.dialect.identify({ cgroup, title });
    } catch (error) {
      this.problem = `the container in ${cgroup} cannot be named: ${(error as Error).message}`;
      if (!this.known.has(key)) this.isUntold(cgroup);
      return undefined;
    }
  }
}

/** A container in a group, and its init. */
interface Look {
  readonly init: Pick<Container, 'pid' | 'key'> | undefined;
  readonly container: Container | undefined;
}

/** An init that runs, in its present group. */
interface Placed {
  readonly pid: number;
  readonly key: string;
  readonly at: string;
}

/** None where the process has ended, or cannot be looked at now. */
function placed(key: string): Placed[] {
  const pid = pidOf(key);
  try {
    const at = groupOf(key, pid);
    return at === undefined ? [] : [{ pid, key, at }];
  } catch {
    return [];
  }
}

/** Of a container that its engine has handed over to. */
function stateOf(cgroup: string, ids: RootIds | undefined): ContainerState {
  if (ids === undefined) return 'unclear';
  return /^frozen 1$/m.test(readUnlessGone(`${cgroup}/cgroup.events`) ?? '') ? 'frozen' : 'running';
}
