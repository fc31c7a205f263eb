import type { Logger } from 'pino';
import { merge, type Observable } from 'rxjs';
import type { ContainerRef, EngineName } from '../core/policy.js';
import { devicesRootV1, unifiedRemedy } from '../kernel/cgroup.js';
import type { Dialect } from './dialect.js';
import { docker } from './docker.js';
import type { Container, Engine } from './engine.js';
import { Follower } from './follower.js';
import { incus, lxc } from './lxc.js';
import { nspawn } from './nspawn.js';
import { podman } from './podman.js';
import { programPath } from './programs.js';
import type { Heard } from './streams/hearing.js';

export const dialects: Readonly<Record<EngineName, Dialect>> = { lxc, incus, podman, docker, nspawn };

/** All engines as one. What goes wrong with one of them is kept, said where it is asked for, and troubles no other. */
export class Engines {
  readonly changes: Observable<void>;
  private readonly engines: readonly Engine[];
  private readonly problems = new Map<EngineName, string | undefined>();
  private running: readonly Container[] = [];

  constructor(
    private readonly cgroupRoot: string,
    private readonly log?: Logger,
  ) {
    this.engines = Object.values(dialects).map((dialect) => new Follower(cgroupRoot, dialect, log));
    this.changes = merge(...this.engines.map((engine) => engine.changes));
  }

  /** Listens to what the engines of these containers say of themselves, and to no other engine. */
  attend(containers: readonly ContainerRef[]): void {
    for (const engine of this.engines) {
      engine.attend(new Set(containers.filter((ref) => ref.engine === engine.name).map(({ user }) => user)));
    }
  }

  /** The streams of events of the engines that are attended to. */
  get heard(): readonly (Heard & { readonly engine: EngineName })[] {
    return this.engines.flatMap(({ name, heard }) => heard.map((stream) => ({ engine: name, ...stream })));
  }

  list(): readonly Container[] {
    this.running = this.engines.flatMap((engine) => engine.list());
    for (const { name, problem } of this.engines) {
      if (problem !== undefined && problem !== this.problems.get(name))
        this.log?.error({ engine: name, problem }, 'a container is not known');
      this.problems.set(name, problem);
    }
    return this.running;
  }

  /** Why a seat has no container now, in words for an admin. */
  absence({ engine, name, user }: ContainerRef): string {
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

  /** Whether a container runs, but on a hybrid host in a hierarchy of cgroups v1 alone. */
  private strays({ engine, name, user }: ContainerRef): boolean {
    const root = devicesRootV1();
    if (root === undefined) return false;
    const follower = new Follower(root, dialects[engine], this.log);
    try {
      return follower.list().some((container) => container.name === name && container.user === user);
    } finally {
      follower.close();
    }
  }

  close(): void {
    for (const engine of this.engines) engine.close();
  }
}
