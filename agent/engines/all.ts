import type { Logger } from 'pino';
import { merge, type Observable } from 'rxjs';
import { type ContainerRef, type EngineName, isEngine } from '../core/policy.js';
import { devicesRootV1, unifiedRemedy } from '../kernel/cgroup.js';
import { inOneMoment } from '../kernel/facts.js';
import type { Inits } from '../kernel/inits.js';
import type { RecordFile } from '../kernel/record-file.js';
import type { Dialect } from './dialect.js';
import { docker } from './docker.js';
import type { Container } from './engine.js';
import { Follower, type Known } from './follower.js';
import { incus, lxc } from './lxc.js';
import type { CommandLine } from './monitor.js';
import { nspawn } from './nspawn.js';
import { OneAnswer } from './one-answer.js';
import { podman } from './podman.js';
import { programPath } from './programs.js';
import type { Heard } from './streams/hearing.js';
import { foreignSubids } from './users.js';

/** The record of a container, by `pid:starttime`. */
export type OnRecord = Known & { readonly engine: EngineName };

/** Whether a value read from the record is one. */
export const isOnRecord = (value: unknown): value is OnRecord =>
  typeof value === 'object' &&
  value !== null &&
  'engine' in value &&
  isEngine(value.engine) &&
  'name' in value &&
  typeof value.name === 'string';

export const dialects: Readonly<Record<EngineName, Dialect>> = { lxc, incus, podman, docker, nspawn };

export interface EnginesDeps {
  readonly commandLine: CommandLine;
  readonly log?: Logger;
  /**
   * The record of containers, for an agent that starts again when their engines' monitors have died. With it, only
   * containers of recorded and named users are looked for; without it, everybody's.
   */
  readonly record?: RecordFile<OnRecord>;
  /** Users who have, or may still have, something of a seat (undefined: root); nobody unless given. */
  readonly tenants?: (() => ReadonlySet<string | undefined>) | undefined;
  /** As in `FollowerDeps`. */
  readonly inits?: (() => Inits) | undefined;
}

/**
 * Why containers of users are refused here; undefined when they are not. Rules of cgroups v1 are a group's alone, the guard's
 * can also be a user's: of all his uids.
 */
function usersRefusal(): string | undefined {
  const source = foreignSubids();
  if (source !== undefined) {
    return `containers of users are refused while their subordinate uids are not in /etc/subuid: have subid: files in /etc/nsswitch.conf, which has ${source}`;
  }
  if (devicesRootV1() === undefined) return undefined;
  return `containers of users are refused while cgroups v1 keep device rules, because a user can leave the groups that those go by: ${unifiedRemedy}`;
}

const isRefused = ({ user }: Pick<ContainerRef, 'user'>): boolean => user !== undefined && usersRefusal() !== undefined;

/** All engines as one. The failure of one engine is kept, reported where it is asked for, and troubles no other. */
export class Engines {
  readonly changes: Observable<void>;
  private readonly engines: readonly Follower[];
  private readonly problems = new Map<EngineName, string | undefined>();
  private running: readonly Container[] = [];
  /** The containers of seats; undefined until they are known. */
  private named: readonly ContainerRef[] | undefined;
  /** How long the last `list` took, ms. */
  lastTook = 0;
  /** In the look that is under way. */
  private readonly inits: OneAnswer<Inits> | undefined;

  constructor(
    private readonly cgroupRoot: string,
    private readonly deps: EnginesDeps,
  ) {
    const { commandLine, log, record } = deps;
    this.inits = deps.inits && new OneAnswer(deps.inits);
    const inits = this.inits?.get;
    const known = [...(record?.read() ?? [])];
    this.engines = Object.values(dialects).map((dialect) => {
      const { engine } = dialect;
      const own = new Map(known.filter(([, one]) => one.engine === engine));
      const others = (key: string) => this.engines.some((other) => other.name !== engine && other.knows.has(key));
      const follower = new Follower(cgroupRoot, dialect, { commandLine, log, known: own, others, inits });
      if (record !== undefined) follower.lookFor(new Set([...own.values()].map(({ user }) => user)));
      return follower;
    });
    this.changes = merge(...this.engines.map((engine) => engine.changes));
  }

  /**
   * Listens to the events of the engines of these containers, and to no other engine. From then on nobody is looked for but their
   * users, and those who still have something that is to be taken from them.
   */
  attend(containers: readonly ContainerRef[]): void {
    this.named = containers;
    for (const engine of this.engines) engine.attend(this.usersOf(engine));
  }

  private usersOf(engine: Follower): Set<string | undefined> {
    const refs = this.named?.filter((ref) => ref.engine === engine.name) ?? [];
    return new Set(refs.map(({ user }) => user));
  }

  /** The streams of events of the engines that are attended to. */
  get heard(): readonly (Heard & { readonly engine: EngineName })[] {
    return this.engines.flatMap(({ name, heard }) => heard.map((stream) => ({ engine: name, ...stream })));
  }

  /** Groups of containers of which the last `list` could not tell who they are. */
  get untold(): readonly string[] {
    return this.engines.flatMap(({ untold }) => untold);
  }

  list(): readonly Container[] {
    const began = performance.now();
    this.inits?.forget();
    if (this.named !== undefined) {
      const tenants = this.deps.tenants?.() ?? [];
      for (const engine of this.engines) engine.lookFor(new Set([...this.usersOf(engine), ...tenants]));
    }
    const found = inOneMoment(() => this.engines.flatMap((engine) => engine.list()));
    this.running = found.filter((container) => !isRefused(container));
    for (const { name, problem } of this.engines) {
      if (problem !== undefined && problem !== this.problems.get(name))
        this.deps.log?.error({ engine: name, problem }, 'a container is not known');
      this.problems.set(name, problem);
    }
    this.remember();
    this.lastTook = performance.now() - began;
    return this.running;
  }

  /** As `list`, but waits for open questions first. */
  async listAll(): Promise<readonly Container[]> {
    this.list();
    await Promise.all(this.engines.map((engine) => engine.settled()));
    return this.list();
  }

  /** Why a seat has no container now, in words for an admin. */
  absence({ engine, name, user }: ContainerRef): string {
    const refusal = user === undefined ? undefined : usersRefusal();
    if (refusal !== undefined) return refusal;
    const problem = this.problems.get(engine);
    if (problem !== undefined) return problem;
    if (this.strays({ engine, name, user })) {
      return `its container has no cgroup of its own in ${this.cgroupRoot}, where grants hang: ${unifiedRemedy}, or have ${engine} leave its cgroups to systemd`;
    }
    const { program } = dialects[engine];
    if (programPath(program) === undefined) return `${engine} is not installed: there is no ${program}`;
    const whose = user === undefined ? '' : ` of ${user}`;
    const others = this.running.filter((container) => container.name === name);
    const hint = others.map((other) => `${other.engine}${other.user === undefined ? '' : ` of ${other.user}`}`);
    const instead = hint.length === 0 ? '' : ` (one of that name runs in ${hint.join(', ')})`;
    return `no ${engine} container${whose} named ${name} is running${instead}`;
  }

  private remember(): void {
    const { record, log } = this.deps;
    if (record === undefined) return;
    const known = this.engines.flatMap(({ name: engine, knows }) =>
      [...knows].map(([key, one]) => [key, { engine, ...one }] as const),
    );
    try {
      record.write(new Map(known));
    } catch (error) {
      log?.error({ err: error }, 'the record of containers cannot be written');
    }
  }

  /** Whether a container runs, but on a hybrid host in a hierarchy of cgroups v1 alone. */
  private strays({ engine, name, user }: ContainerRef): boolean {
    const root = devicesRootV1();
    if (root === undefined) return false;
    // The kernel tells of groups in the unified hierarchy alone.
    const follower = new Follower(root, dialects[engine], { ...this.deps, inits: undefined });
    try {
      return follower.list().some((container) => container.name === name && container.user === user);
    } catch {
      // Nobody can tell now; the engine's own problem says why.
      return false;
    } finally {
      follower.close();
    }
  }

  close(): void {
    for (const engine of this.engines) engine.close();
  }
}
