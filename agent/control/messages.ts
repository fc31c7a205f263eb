import type { Happening } from '../core/happening.js';
import type { Receipt } from '../core/policy.js';
import { type EngineName, engineNames, isEngine } from '../core/policy.js';
import type { RefusalCode } from '../core/refusal.js';
import type { Served } from '../descriptors/descriptor-keeper.js';
import type { ContainerState } from '../engines/engine.js';
import type { CardOutputs } from '../outputs/words.js';
import type { Fixture } from '../policy/fixture.js';
import type { ShareExplanation } from '../shares/compare.js';
import type { SeatShares } from '../shares/words.js';
import type { Family } from './metrics.js';

/** What a client may ask over the control socket: one JSON object a line, one answer a line. */
export type Request =
  | { readonly verb: 'status' }
  /** `force`: even if the host loses its last keyboard, or a bound device comes into conflict. */
  | {
      readonly verb: 'reload';
      readonly force: boolean;
      /** Goes back to the policy before it unless `confirm` comes within this time. */
      readonly confirmMs?: number | undefined;
      /** Also a signed commit that does not descend from the one that was confirmed last; for root alone. */
      readonly allowRollback?: boolean;
    }
  | { readonly verb: 'confirm' }
  /** Answered with what happens from then on, a line each, as long as the client listens. */
  | { readonly verb: 'watch' }
  | { readonly verb: 'devices' }
  | { readonly verb: 'metrics' }
  /** Gives a device to a seat by hand; `force`: even if the host loses its last keyboard. */
  | {
      readonly verb: 'attach';
      readonly device: string;
      readonly seat: string;
      readonly forMs?: number | undefined;
      readonly force: boolean;
    }
  | { readonly verb: 'detach'; readonly device: string }
  | { readonly verb: 'explain'; readonly device: string }
  /** Why a seat has the shares that it has. */
  | { readonly verb: 'explain-shares'; readonly seat: string }
  /** A unit as a fixture; `unmask` leaves serial numbers and addresses in it. */
  | { readonly verb: 'record'; readonly device: string; readonly unmask: boolean }
  /** What the policy as it is now, or another revision of its repository, would change. */
  | { readonly verb: 'plan'; readonly revision: string | undefined }
  /** Answered when everything that the named container shall have is granted to it, or the time is over. */
  | {
      readonly verb: 'wait';
      readonly container: string;
      /** Whose container it is; of whichever engine, when that is not said. */
      readonly engine?: EngineName | undefined;
      readonly timeoutMs: number;
    };

/** What is answered once. */
export type Answerable = Exclude<Request, { readonly verb: 'watch' }>;

/** What each verb is answered. */
export interface Answers {
  readonly status: Status;
  readonly reload: { readonly revision: string };
  readonly confirm: { readonly revision: string };
  readonly attach: Attached;
  readonly detach: Attached;
  readonly devices: DeviceInfo[];
  readonly explain: Explanation;
  readonly 'explain-shares': ShareExplanation;
  readonly record: Fixture;
  readonly plan: Plan;
  readonly metrics: Family[];
  readonly wait: null;
}

/** What a client that watches is told: what happened, and when (ISO 8601, UTC). */
export type Happened = Happening & { readonly time: string };

export type Response = { readonly ok: true; readonly result: unknown } | Refused;

/** `code`: why not, for scripts; `error` and `details` are words for people and may change. */
export interface Refused {
  readonly ok: false;
  readonly code: RefusalCode;
  readonly error: string;
  readonly details?: readonly string[];
}

export interface DeviceStatus {
  readonly node: string | undefined;
  /** How the seat has it; absent where that is as a node. */
  readonly receive?: Receipt | undefined;
  readonly name: string;
  readonly rule: string;
  /** Whether the container has been told of it. */
  readonly announced: boolean;
}

export interface SeatStatus {
  readonly seat: string;
  readonly container: string;
  readonly engine: string;
  readonly state: 'waiting' | ContainerState;
  /** Why it waits, while it does. */
  readonly reason: string | undefined;
  readonly problem: string | undefined;
  readonly deaf: readonly string[];
  /**
   * Who is udev in the container: `ours`, the agent; `own`, a udevd that it runs itself and that is told of devices as the
   * kernel would; `coming`, one that it is about to start. Absent while that is not known.
   */
  readonly udev: 'ours' | 'own' | 'coming' | undefined;
  readonly devices: readonly DeviceStatus[];
  /** What it has of graphics cards of which it has outputs; absent while there are none. */
  readonly outputs?: readonly CardOutputs[] | undefined;
  /** What its display server opens through the holder; absent where everything comes as nodes. */
  readonly served?: Served | undefined;
  /** What it has of processors, memory and disks; absent while its container does not run. */
  readonly shares?: SeatShares | undefined;
  /** Rules that have matched nothing since they were loaded. */
  readonly unmatched: readonly { readonly label: string; readonly place: string }[];
}

export interface Status {
  readonly revision: string;
  readonly policyErrors: readonly string[];
  /** When the policy that is on trial goes unless it is confirmed (ISO 8601); absent when none is. */
  readonly trialEnds: string | undefined;
  readonly seats: readonly SeatStatus[];
  readonly conflicts: readonly { readonly device: string; readonly rules: readonly string[] }[];
  /** Raw nodes of HID devices that a rule asks for and no seat gets, and why. */
  readonly withheld: readonly { readonly device: string; readonly reason: string }[];
  /** What stays with the host although a seat has other parts of the same physical device, and why. */
  readonly left: readonly Left[];
  /** Devices of seats on which a udev rule of the host that comes after Hotseat's has the last word, and which. */
  readonly host: readonly { readonly device: string; readonly reason: string }[];
  /** Ways in which what is typed at a seat may reach somebody else, in words. */
  readonly leaks: readonly string[];
  readonly udev: {
    readonly events: number;
    readonly overruns: number;
    readonly restarts: number;
    /** Why nothing that is plugged is heard of now, in words; absent while it is. */
    readonly away?: string | undefined;
  };
  /** Why the audit trail cannot be written now; absent while it can. */
  readonly audit?: string | undefined;
  /** Where the engines of the seats tell of themselves. */
  readonly engines: readonly EngineEvents[];
  /** What was given to seats by hand, whether it is plugged now or not. */
  readonly attached: readonly AttachedStatus[];
  readonly pid: number;
}

/** Something that a rule leaves of a device that it takes. */
export interface Left {
  /** Its node, or its path where it has none. */
  readonly device: string;
  readonly name: string;
  readonly reason: string;
}

/** A stream of events of an engine. */
export interface EngineEvents {
  readonly engine: EngineName;
  /** Socket, file or command. */
  readonly place: string;
  /** Why it is not listened to; absent while it is. */
  readonly reason: string | undefined;
  /** What was heard of it since the policy names that engine: each of them had the agent look at its containers. */
  readonly words: number;
}

/** A device that was given to a seat by hand. */
export interface AttachedStatus {
  readonly name: string;
  /** ID_PATH of its port; empty when it hangs on none. */
  readonly port: string;
  readonly seat: string;
  /** When it ends by itself (ISO 8601); absent when it does not. */
  readonly until: string | undefined;
  /** Host uid of who did it. */
  readonly by: number;
}

/** The answer to `attach` and `detach`: the device, and whose it is now. */
export interface Attached extends AttachedStatus {
  readonly owner: string;
  /** What keeps it from being where it shall be. */
  readonly problem: string | undefined;
}

/** A socket of a graphics card for a monitor, and which monitor is at it. */
export interface OutputInfo {
  /** `DP-1`. */
  readonly connector: string;
  readonly status: 'connected' | 'disconnected' | 'unknown';
  /** What the monitor calls itself; absent where it says nothing. */
  readonly monitor?: string | undefined;
  /** Whose it is, of a card whose outputs have seats of their own: `left`, `conflict` or `nobody`. */
  readonly owner?: string | undefined;
  /** The rules that won, or that are in conflict. */
  readonly rules?: readonly string[] | undefined;
}

/** A device and whose it is. */
export interface DeviceInfo {
  readonly device: string;
  readonly name: string;
  readonly nodes: readonly string[];
  readonly port: string;
  readonly kinds: readonly string[];
  readonly owner: string;
  /** The rules that won, or that are in conflict. */
  readonly rules: readonly string[];
  /** How the seat gets it; absent where that is as a node. */
  readonly receive?: Receipt | undefined;
  /** Why it is no seat's although it is at a port of one, or part of something that is. */
  readonly reason?: string | undefined;
  /** Of a graphics card, in the order of their names. */
  readonly outputs?: readonly OutputInfo[] | undefined;
}

/** A rule held against a device; `failed` says why it did not win. */
export interface RuleResult {
  readonly seat: string;
  readonly label: string;
  readonly place: string;
  readonly failed: string | undefined;
  /** What does match, where this comes along with it because both are one physical device. */
  readonly along?: string | undefined;
}

export interface Explanation extends DeviceInfo {
  readonly trace: readonly RuleResult[];
  /** The raw node of its HID device, when a rule asks for that and no seat gets it, and why. */
  readonly withheld: Status['withheld'];
  /** What is left with the host of the physical device that it is a part of. */
  readonly left: readonly Left[];
}

export interface Plan {
  readonly revision: string;
  readonly changes: readonly {
    readonly device: string;
    readonly name: string;
    readonly from: string;
    readonly to: string;
  }[];
  /** What stays with its seat and would come in another way, in words. */
  readonly receipts: readonly string[];
  /** `left: cpu 100 -> 200`: what changes of the seats' shares. */
  readonly shares: readonly string[];
  readonly dangers: readonly string[];
  /** What would stay with the host although a seat has other parts of the same physical device, and why. */
  readonly left: readonly Left[];
}

/** What `--for` can say at most, ms: 9999 hours. */
const longestLoan = 9999 * 3_600_000;

/** Parses one line of a client; a text says what is wrong with it. */
export function parseRequest(line: string): Request | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'not JSON: send one JSON object a line';
  }
  if (typeof value !== 'object' || value === null || !('verb' in value)) return 'no "verb" in the request';
  const { verb, container, engine, timeoutMs, device, seat, forMs, revision, force, confirmMs, unmask, allowRollback } =
    value as Record<string, unknown>;
  switch (verb) {
    case 'status':
    case 'devices':
    case 'confirm':
    case 'watch':
    case 'metrics':
      return { verb };
    case 'reload':
      if (
        confirmMs !== undefined &&
        (typeof confirmMs !== 'number' || !(confirmMs >= 1000 && confirmMs <= 86_400_000))
      ) {
        return '"reload" takes "confirmMs", 1000 to 86400000';
      }
      return { verb, force: force === true, confirmMs, allowRollback: allowRollback === true };
    case 'attach':
      if (typeof device !== 'string' || typeof seat !== 'string') return '"attach" needs a "device" and a "seat"';
      if (forMs === undefined) return { verb, device, seat, force: force === true };
      if (typeof forMs !== 'number' || !(forMs >= 1000 && forMs <= longestLoan)) {
        return `"attach" takes "forMs", 1000 to ${longestLoan}`;
      }
      return { verb, device, seat, forMs, force: force === true };
    case 'detach':
      return typeof device === 'string' ? { verb, device } : '"detach" needs a "device"';
    case 'explain':
      return typeof device === 'string' ? { verb, device } : '"explain" needs a "device"';
    case 'explain-shares':
      return typeof seat === 'string' ? { verb, seat } : '"explain-shares" needs a "seat"';
    case 'record':
      return typeof device === 'string' ? { verb, device, unmask: unmask === true } : '"record" needs a "device"';
    case 'plan':
      if (revision !== undefined && typeof revision !== 'string') return '"plan" takes a "revision" as text';
      return { verb, revision };
    case 'wait':
      if (typeof container !== 'string') return '"wait" needs a "container" name';
      if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0 && timeoutMs <= 600_000)) {
        return '"wait" needs "timeoutMs", 0 to 600000';
      }
      if (engine !== undefined && !isEngine(engine)) return `"wait" takes an "engine": ${engineNames.join(', ')}`;
      return { verb, container, engine, timeoutMs };
    default:
      return `unknown verb ${JSON.stringify(verb)}: status, reload, confirm, attach, detach, watch, devices, explain, explain-shares, record, plan, metrics or wait`;
  }
}
