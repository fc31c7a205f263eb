import type { Status } from '../control/messages.js';
import type { ContainerRef, EngineName, Resource } from '../core/policy.js';
import type { PlacedSeat } from '../shares/compare.js';
import type { PressureName } from '../shares/pressure.js';

/** Why something does not work, in words; undefined when it does. */
export type Refusal = string | undefined;

/** Features that the agent needs, each tried on this very kernel. */
export const needs = ['openat2', 'pidfd', 'mounts', 'device programs'] as const;
export type Need = (typeof needs)[number];

export interface KernelFacts {
  readonly release: string;
  /** `hotseat.disable` is on the command line. */
  readonly disabled: boolean;
  /** Mount point of the cgroup2 hierarchy; undefined when there is none. */
  readonly cgroups: string | undefined;
  /** The results of trying. Undefined for an ordinary user, who may not try. */
  readonly tried:
    | {
        readonly refusals: Readonly<Record<Need, Refusal>>;
        /** Whether the kernel can withdraw a grant by itself the moment its device goes. */
        readonly withdrawal: Refusal;
        /** Whether it tells which processes have an io_uring. */
        readonly rings: Refusal;
        /** Whether it tells which processes have a device open. */
        readonly files: Refusal;
        /** Whether it tells which processes are inits of containers. */
        readonly inits: Refusal;
      }
    | undefined;
}

/** systemd's facts about a unit (systemctl show); undefined where there is no systemd to ask. */
export interface UnitFacts {
  readonly load: string;
  readonly active: string;
  /** Whether it is started at boot: `enabled`, `disabled`, `static`… */
  readonly file: string;
  /** How it ended last: `success`, `exit-code`, `watchdog`… */
  readonly result: string;
  /** How often systemd has started it again by itself. */
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
  /** The agent's answer, or why there is none. */
  readonly agent: { readonly status: Status } | { readonly silent: string };
}

/** The files that a boot uses before the agent runs. */
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
  /** Where the host's display manager would start: seats of ours that logind knows. Empty where none is installed. */
  readonly greeted: readonly string[];
}

export interface PolicyFacts {
  /** Where it is, for people. */
  readonly place: string;
  readonly errors: readonly string[];
  readonly seats: readonly { readonly seat: string; readonly container: ContainerRef }[];
}

/** An installed engine, with its own words about its version. */
export interface EngineFacts {
  readonly engine: EngineName;
  readonly version: string;
}

/** The configuration of Xorg in a container, each file read without following a link. */
export interface XorgFacts {
  readonly files: readonly { readonly path: string; readonly text: string }[];
  /** Names in its directories of input drivers. */
  readonly drivers: readonly string[];
}

/** A graphics card that a seat has. */
export interface CardFacts {
  /** `card1`. */
  readonly card: string;
  readonly outputs: readonly {
    /** `DP-1`. */
    readonly name: string;
    readonly isConnected: boolean;
    /** Whether the card sends a picture there. */
    readonly isLit: boolean;
  }[];
  /** Programs of the container that have it open: `Xorg (pid 5)`. */
  readonly openedBy: readonly string[];
}

export interface SoundFacts {
  /** Sound servers that run in the container: `pipewire (pid 7)`. */
  readonly servers: readonly string[];
  /** Sound cards that the seat has: `card1`. */
  readonly cards: readonly string[];
  /** Sound servers that the rights of a node keep out. */
  readonly refused: readonly { readonly server: string; readonly node: string }[];
  /** Cards that play for somebody else and can play for nobody more, and for whom. */
  readonly taken: readonly { readonly card: string; readonly by: string }[];
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
  readonly cards: readonly CardFacts[];
  readonly sound: SoundFacts;
}

/** The fate of a container of which the kernel ends a program for want of memory. */
export interface KilledFacts {
  /** `oom_score_adj` of its init; absent when it has gone. */
  readonly score: number | undefined;
  /** The group of which all processes are ended together. */
  readonly group: string | undefined;
  /** The unit that systemd stops then. */
  readonly stopped: string | undefined;
}

export interface SeatFacts {
  readonly seat: string;
  readonly container: ContainerRef;
  /** Its state, or why that cannot be said. */
  readonly found: ContainerFacts | { readonly absent: string };
  /** Where its shares are set, and their amounts; absent while its container does not run. */
  readonly placed?: PlacedSeat | undefined;
  /** Whether its file has a weight for the disks. */
  readonly asksForDisk?: boolean;
  /** Whether its file says how much memory it may have. */
  readonly boundsMemory?: boolean;
  /** Absent while its container does not run. */
  readonly killed?: KilledFacts | undefined;
}

/** The resources that the host can divide among seats. */
export interface ShareFacts {
  /** Resources without a controller in the unified hierarchy. */
  readonly missing: readonly Resource[];
  /** Whether controllers of cgroups v1 are in use. */
  readonly hybrid: boolean;
  /** Whether the kernel counts how long processes wait (PSI). */
  readonly pressure: boolean;
  /** Whether any disk goes by weights: BFQ or iocost. */
  readonly diskWeights: boolean;
  /**
   * How long pages that were used last stay in memory when it is used up, ms; 0: they go, and everybody waits for the disk.
   * Absent where the kernel does not know such a time (multi-generational LRU).
   */
  readonly keepsUsedMs?: number | undefined;
}

/** Use and waiting of the seats of one group. */
export interface SeatLoad {
  readonly seats: readonly string[];
  /** How many processors they kept busy while they were looked at. */
  readonly processors: number;
  /** In which part of the last 10 s some of their programs waited, percent; absent where the kernel does not count it. */
  readonly waits: Readonly<Partial<Record<PressureName, number>>>;
  readonly processes: number | undefined;
  readonly mostProcesses: number | undefined;
}

export interface LoadFacts {
  /** How many the PC has. */
  readonly processors: number;
  /** How many were kept busy by the rest of the PC. */
  readonly rest: number;
  readonly seats: readonly SeatLoad[];
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
  /** Absent for an ordinary user, and where no seat's container runs. */
  readonly load?: LoadFacts | undefined;
  /** Undefined for an ordinary user, who may not look into containers. */
  readonly seats: readonly SeatFacts[] | undefined;
}
