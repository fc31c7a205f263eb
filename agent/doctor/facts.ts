import type { Status } from '../control/messages.js';
import type { ContainerRef, EngineName, Resource } from '../core/policy.js';
import type { PlacedSeat } from '../shares/compare.js';

/** Why something does not work, in words; undefined when it does. */
export type Refusal = string | undefined;

/** What the agent cannot do without, each tried on this very kernel. */
export const needs = ['openat2', 'pidfd', 'mounts', 'device programs'] as const;
export type Need = (typeof needs)[number];

export interface KernelFacts {
  readonly release: string;
  /** `hotseat.disable` is on the command line. */
  readonly disabled: boolean;
  /** Mount point of the cgroup2 hierarchy; undefined when there is none. */
  readonly cgroups: string | undefined;
  /** What came of trying; undefined for an ordinary user, who may not. */
  readonly tried:
    | {
        readonly refusals: Readonly<Record<Need, Refusal>>;
        /** Whether the kernel can withdraw a grant by itself the moment its device goes. */
        readonly withdrawal: Refusal;
        /** Whether it tells who has an io_uring. */
        readonly rings: Refusal;
      }
    | undefined;
}

/** What systemd says of a unit (systemctl show); undefined where there is no systemd to ask. */
export interface UnitFacts {
  readonly load: string;
  readonly active: string;
  /** Whether it is started at boot: `enabled`, `disabled`, `static`… */
  readonly file: string;
  /** How it ended last: `success`, `exit-code`, `watchdog`… */
  readonly result: string;
  /** How often systemd has started it anew by itself. */
  readonly restarts: number;
}

export interface ServiceFacts {
  /** Whether udevd answers; undefined for an ordinary user, whom it does not answer. */
  readonly udevd: { readonly refusal: Refusal } | undefined;
  /** Whether the policy lies where the host's udevd reads it. */
  readonly rules: boolean;
  readonly unit: UnitFacts | undefined;
  /** The unit of the holder of shared graphics cards. */
  readonly holder?: UnitFacts | undefined;
  /** What the agent answers, or why it does not. */
  readonly agent: { readonly status: Status } | { readonly silent: string };
}

/** What a boot goes by before the agent runs. */
export interface BootFacts {
  /** Whether the policy that was confirmed last has seats, and whether it mutes the consoles. */
  readonly seats: boolean;
  readonly muted: boolean;
  /** Files that are missing, another's, or too much, by that policy. */
  readonly wrong: readonly string[];
  /** A file in /etc that takes the place of the agent's own rules. */
  readonly covers: string | undefined;
  /** The unit that mutes. */
  readonly unit: UnitFacts | undefined;
  /** Units of login prompts at which systemd would give a console its keyboard back. */
  readonly resets: readonly string[];
}

export interface PolicyFacts {
  /** Where it is, for people. */
  readonly place: string;
  readonly errors: readonly string[];
  readonly seats: readonly { readonly seat: string; readonly container: ContainerRef }[];
}

/** An engine that is installed, and what it says of its version. */
export interface EngineFacts {
  readonly engine: EngineName;
  readonly version: string;
}

/** What Xorg in a container goes by, each file read without following a link. */
export interface XorgFacts {
  readonly files: readonly { readonly path: string; readonly text: string }[];
  /** Names in its directories of input drivers. */
  readonly drivers: readonly string[];
}

/** A container that runs, seen from outside. */
export interface ContainerFacts {
  readonly sharesNetwork: boolean;
  /** The name of its init's program. */
  readonly init: string;
  /** Where its seat's directories are missing: `/run/udev`. */
  readonly ungrafted: readonly string[];
  /** Whether its own configuration mounts them before its init runs; undefined where that cannot be asked. */
  readonly configured: boolean | undefined;
  /** Whether a udevd of its own runs in it. */
  readonly ownUdevd: boolean;
  /** Processes that opened a udev monitor too early, and hear nothing. */
  readonly deaf: readonly string[];
  /** Whether its root holds the capability to edit BPF maps of the host, and no seccomp profile that is known forbids it. */
  readonly mayEditMaps: boolean;
  /** Whether its root can move a process out of the group that is guarded. */
  readonly mayLeaveCgroup: boolean;
  /** Undefined where there is no Xorg; or why it cannot be said. */
  readonly xorg: XorgFacts | { readonly unread: string } | undefined;
}

export interface SeatFacts {
  readonly seat: string;
  readonly container: ContainerRef;
  /** What it is like, or why it cannot be said. */
  readonly found: ContainerFacts | { readonly absent: string };
  /** Where its shares are, and what it has there; absent while its container does not run. */
  readonly placed?: PlacedSeat | undefined;
  /** Whether its file has a weight for the disks. */
  readonly asksForDisk?: boolean;
}

/** What the host can divide among seats. */
export interface ShareFacts {
  /** What has no controller in the unified hierarchy. */
  readonly missing: readonly Resource[];
  /** Whether controllers of cgroups v1 are in use. */
  readonly hybrid: boolean;
  /** Whether the kernel counts how long processes wait (PSI). */
  readonly pressure: boolean;
  /** Whether any disk goes by weights: BFQ or iocost. */
  readonly diskWeights: boolean;
}

/** Everything that the checks look at. */
export interface Facts {
  readonly kernel: KernelFacts;
  readonly service: ServiceFacts;
  /** Undefined for an ordinary user, and where no policy has been confirmed yet. */
  readonly boot: BootFacts | undefined;
  readonly policy: PolicyFacts;
  readonly engines: readonly EngineFacts[];
  /** Absent where there is no cgroup2 hierarchy. */
  readonly shares?: ShareFacts | undefined;
  /** Undefined for an ordinary user, who may not look into containers. */
  readonly seats: readonly SeatFacts[] | undefined;
}
