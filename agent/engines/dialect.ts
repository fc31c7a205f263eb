import type { EngineName } from '../core/policy.js';
import type { EventStream } from './streams/stream.js';

/** The slices of seats, all of them below a common one, where an engine can be told to put its containers. */
export const commonSlice = 'hotseat.slice';
export const seatSlice: readonly RegExp[] = [/^hotseat\.slice$/, /^hotseat-.+\.slice$/];

/** Who a container is, as its engine knows it. */
export interface Identity {
  readonly name: string;
  /** As in `Container`. */
  readonly user: string | undefined;
}

/**
 * The peculiarities of one engine: where it puts its containers' cgroups, how it names them, and where it tells of
 * them. Everything else is the same for all engines, because it is the kernel's.
 */
export interface Dialect {
  readonly engine: EngineName;
  /** The engine's program; where it is missing, a seat of this engine can only wait. */
  readonly program: string;
  /**
   * Whether its device program is attached once, before init runs. runc and systemd replace theirs while they start a
   * container (BPF_F_REPLACE of the one they have found) and give up when it is gone (ENOENT).
   */
  readonly attachesOnce: boolean;
  /** Paths of containers' cgroups below the root of the hierarchy, one pattern for each level; the last is a container's. */
  readonly paths: readonly (readonly RegExp[])[];
  /**
   * The container in such a cgroup, undefined when it is no container of this engine. Asked once for each init.
   * `title`: the command line of its monitor; empty when that has ended. Throws when nobody can tell: then the container is
   * guarded, and nobody's.
   */
  identify(container: { readonly cgroup: string; readonly title: readonly string[] }): Identity | undefined;
  /** Whether a container can get another name while it runs: then it is asked again after a word of the engine. */
  readonly renames: boolean;
  /** Where it tells of containers of these users (undefined: root's). */
  streams(users: readonly (string | undefined)[]): readonly EventStream[];
}
