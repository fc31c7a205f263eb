import type { Observable } from 'rxjs';

/** A running container, facts only. Everything is read from the host's side; nothing inside it is trusted. */
export interface Container {
  readonly engine: 'lxc';
  readonly name: string;
  /** Pid of its init, in the host's pid namespace. */
  readonly pid: number;
  /** `pid:starttime`: another init, another key (proc_pid_stat(5), field 22). */
  readonly key: string;
  /** The engine's cgroup of the container, absolute path below the cgroup2 mount: its grants hang on its id. */
  readonly cgroup: string;
  /** Host ids of its root, from uid_map and gid_map. */
  readonly uid: number;
  readonly gid: number;
  /** `setup` until the engine has handed over to the container's own init: nothing may be grafted before. */
  readonly state: 'setup' | 'running' | 'frozen';
}

/** One container engine. `changes` emits whenever `list` may answer differently; it never polls. */
export interface Engine {
  readonly name: 'lxc';
  readonly changes: Observable<void>;
  list(): Container[];
  close(): void;
}
