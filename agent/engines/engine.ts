import type { EngineName } from '../core/policy.js';

export const containerStates = ['setup', 'running', 'frozen', 'unclear'] as const;

export type ContainerState = (typeof containerStates)[number];

/** A running container, facts only. Everything is read from the host's side; nothing inside it is trusted. */
export interface Container {
  readonly engine: EngineName;
  readonly name: string;
  /** Whose engine runs it, by login name: an ordinary user's (rootless), or undefined for root's. */
  readonly user: string | undefined;
  /** Pid of its init, in the host's pid namespace. */
  readonly pid: number;
  /** `pid:starttime`: another init, another key (proc_pid_stat(5), field 22). */
  readonly key: string;
  /** The engine's cgroup of the container, absolute path below the cgroup2 mount: its grants hang on its id. */
  readonly cgroup: string;
  /** Host ids of its root, from uid_map and gid_map; nobody's while it is `unclear`. */
  readonly uid: number;
  readonly gid: number;
  /**
   * `setup` until the engine has handed over to the container's own init: nothing may be grafted before. `unclear` when
   * its root user cannot be told any more: it is guarded and is given nothing.
   */
  readonly state: ContainerState;
  /** Whether its init has a root of its own by now, so that files that are read there are the container's. */
  readonly rooted: boolean;
  /** Whether the engine is done with its device programs: an engine that replaces its own must not find ours there. */
  readonly openable: boolean;
}
