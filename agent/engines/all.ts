import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
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

export const dialects: Readonly<Record<EngineName, Dialect>> = { lxc, incus, podman, docker, nspawn };

/** Where engines' programs are, whatever PATH the agent was started with. */
const programDirectories = [
  '/usr/bin',
  '/usr/sbin',
  '/usr/local/bin',
  '/usr/local/sbin',
  '/opt/incus/bin',
  '/usr/libexec/incus',
  '/snap/bin',
];

/** All engines as one. What goes wrong with one of them is kept, said where it is asked for, and troubles no other. */
export class Engines {
  readonly changes: Observable<void>;
  private readonly engines: readonly Engine[];
  private readonly problems = new Map<EngineName, string | undefined>();
  private running: readonly Container[] = [];

  constructor(
    private readonly cgroupRoot: string,
    private readonly complain: (engine: EngineName, problem: string) => void,
  ) {
    this.engines = Object.values(dialects).map((dialect) => new Follower(cgroupRoot, dialect));
    this.changes = merge(...this.engines.map((engine) => engine.changes));
  }

  list(): readonly Container[] {
    this.running = this.engines.flatMap((engine) => engine.list());
    for (const { name, problem } of this.engines) {
      if (problem !== undefined && problem !== this.problems.get(name)) this.complain(name, problem);
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
    const follower = new Follower(root, dialects[engine]);
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

/** Where an engine's program is; undefined when it is not installed. */
export function programPath(program: string): string | undefined {
  return programDirectories
    .map((directory) => join(directory, program))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
