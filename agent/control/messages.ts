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

/** The requests of a client over the control socket: one JSON object a line, one answer a line. */
export type Request =
  /** The state of all seats, and everything that is wrong. */
  | { readonly verb: 'status' }
  /** Reads the policy again, and takes it as a whole or not at all. */
  | {
      readonly verb: 'reload';
      /** Even if the host loses its last keyboard, or a bound device comes into conflict. */
      readonly force: boolean;
      /** Goes back to the policy before it unless `confirm` comes within this time, ms: 1000 to 86400000. */
      readonly confirmMs?: number | undefined;
      /** Also a signed commit that does not descend from the last confirmed commit. For root alone. */
      readonly allowRollback?: boolean;
    }
  /** Keeps the policy that is on trial. */
  | { readonly verb: 'confirm' }
  /** Answered with a line for each event from then on, as long as the client listens. */
  | { readonly verb: 'watch' }
  /** All devices, and whose they are. */
  | { readonly verb: 'devices' }
  /** The numbers that `hotseat metrics` prints. */
  | { readonly verb: 'metrics' }
  /** Gives a device to a seat by hand. */
  | {
      readonly verb: 'attach';
      /** A node, a path in /sys, a kernel name or a name. */
      readonly device: string;
      /** The name of the seat. */
      readonly seat: string;
      /** Takes it back after this time, ms: 1000 to 35996400000. */
      readonly forMs?: number | undefined;
      /** Even if the host loses its last keyboard, or nothing tells the device from another one. */
      readonly force: boolean;
    }
  /** Takes back a device that was given by hand. */
  | {
      readonly verb: 'detach';
      /** A node, a path in /sys, a kernel name or a name; of a device that is not plugged, its name or port. */
      readonly device: string;
    }
  /** Why a device is where it is. */
  | {
      readonly verb: 'explain';
      /** A node, a path in /sys, a kernel name or a name. */
      readonly device: string;
    }
  /** Shows the name of an output of a shared graphics card on it, for a while. */
  | {
      readonly verb: 'identify';
      /** `card1-DP-1`, a path in /sys, or `DP-1` where one card alone has that. */
      readonly output: string;
      /** For so long, ms: 1000 to 600000. */
      readonly forMs: number;
    }
  /** Why a seat has its shares of processors, memory and disks. */
  | {
      readonly verb: 'explain-shares';
      /** The name of the seat. */
      readonly seat: string;
    }
  /** A device as a file for tests of policies. */
  | {
      readonly verb: 'record';
      /** A node, a path in /sys, a kernel name or a name. */
      readonly device: string;
      /** Leaves serial numbers and addresses in it. */
      readonly unmask: boolean;
    }
  /** The changes that a reload would make. */
  | {
      readonly verb: 'plan';
      /** Another revision of the repository than the newest. */
      readonly revision: string | undefined;
    }
  /** Answered when the container has everything that it must have, or the time is over. */
  | {
      readonly verb: 'wait';
      /** The name of the container. */
      readonly container: string;
      /** Its engine; any engine when absent. */
      readonly engine?: EngineName | undefined;
      /** Longest wait, ms: 0 to 600000. */
      readonly timeoutMs: number;
    };

/** The requests that get one answer. */
export type Answerable = Exclude<Request, { readonly verb: 'watch' }>;

/** The answer to each verb. */
export interface Answers {
  readonly status: Status;
  readonly reload: { readonly revision: string };
  readonly confirm: { readonly revision: string };
  readonly attach: Attached;
  readonly detach: Attached;
  readonly devices: DeviceInfo[];
  readonly explain: Explanation;
  readonly identify: IdentifiedOutput;
  readonly 'explain-shares': ShareExplanation;
  readonly record: Fixture;
  readonly plan: Plan;
  readonly metrics: Family[];
  readonly wait: null;
}

/** An event. */
export type Happened = Happening & {
  /** When it happened (ISO 8601, UTC). */
  readonly time: string;
};

export type Response = { readonly ok: true; readonly result: unknown } | Refused;

/** `code`: why not, for scripts; `error` and `details` are words for people and may change. */
export interface Refused {
  readonly ok: false;
  readonly code: RefusalCode;
  readonly error: string;
  readonly details?: readonly string[];
}

/** A node that a seat has. */
export interface DeviceStatus {
  /** Its path: `/dev/input/event3`. */
  readonly node: string | undefined;
  /** How the seat has it; absent for a node. */
  readonly receive?: Receipt | undefined;
  /** The device's name for people. */
  readonly name: string;
  /** File and line of the rule that gave it: `left.yaml:4`. */
  readonly rule: string;
  /** Whether the programs in the container have been told of it. */
  readonly announced: boolean;
}

/** A seat, its container and its devices. */
export interface SeatStatus {
  /** The name of the seat. */
  readonly seat: string;
  /** The name of its container. */
  readonly container: string;
  /** The engine of its container. */
  readonly engine: string;
  /** Whether the container runs. A seat without one is `waiting`. */
  readonly state: 'waiting' | ContainerState;
  /** Why it waits, while it does. */
  readonly reason: string | undefined;
  /** The reason why the seat lacks something that it must have. */
  readonly problem: string | undefined;
  /** Programs in the container that hear of no device until they are started again. */
  readonly deaf: readonly string[];
  /**
   * The udev of the container: `ours`, the agent; `own`, a udevd of the container, which the agent tells of devices as
   * the kernel would; `coming`, a udevd that the container is about to start. Absent while that is not known.
   */
  readonly udev: 'ours' | 'own' | 'coming' | undefined;
  /** The nodes that it has. */
  readonly devices: readonly DeviceStatus[];
  /** The graphics cards of which it has outputs; absent while there are none. */
  readonly outputs?: readonly CardOutputs[] | undefined;
  /** The devices that its display server opens through the holder; absent where everything comes as nodes. */
  readonly served?: Served | undefined;
  /** Its shares of processors, memory and disks; absent while its container does not run. */
  readonly shares?: SeatShares | undefined;
  /** Rules that have matched nothing since they were loaded. */
  readonly unmatched: readonly UnmatchedRule[];
}

/** A rule that no device goes by. */
export interface UnmatchedRule {
  /** The label of the rule. */
  readonly label: string;
  /** File and line of the rule. */
  readonly place: string;
}

/** A device that several seats want, and that none of them gets. */
export interface Conflict {
  /** Its node, or its path where it has none. */
  readonly device: string;
  /** The rules that want it. */
  readonly rules: readonly string[];
}

/** A device about which there is something to say. */
export interface Remark {
  /** Its node, or its path where it has none. */
  readonly device: string;
  /** The message, in words. */
  readonly reason: string;
}

/** Messages of udev since the agent started. */
export interface UdevStatus {
  /** Messages that were received. */
  readonly events: number;
  /** How often messages were lost, because too many came at once. All devices were looked at again each time. */
  readonly overruns: number;
  /** How often the process that listens to udev was started again. */
  readonly restarts: number;
  /** Why the agent hears of no device now; absent while it does. */
  readonly away?: string | undefined;
}

/** Everything about this PC. */
export interface Status {
  /** The policy in force: a commit, or `unversioned`. */
  readonly revision: string;
  /** The faults of a refused policy. The policy before it is in force. */
  readonly policyErrors: readonly string[];
  /** When the policy that is on trial goes unless it is confirmed (ISO 8601); absent when none is on trial. */
  readonly trialEnds: string | undefined;
  /** The seats. */
  readonly seats: readonly SeatStatus[];
  /** Devices that several seats want. */
  readonly conflicts: readonly Conflict[];
  /** Raw nodes of HID devices that a rule asks for and no seat gets, and why. */
  readonly withheld: readonly Remark[];
  /** Devices that nobody gets as long as the kernel does not give out an attribute that a rule asks for, and why. */
  readonly unread: readonly Remark[];
  /** Parts that stay with the host although a seat has other parts of the same physical device, and why. */
  readonly left: readonly Left[];
  /** Devices of seats that a udev rule of the host gives to somebody else, and which rule. */
  readonly host: readonly Remark[];
  /** Ways in which keys of a seat may reach somebody else, in words. */
  readonly leaks: readonly string[];
  /** Messages of udev since the agent started. */
  readonly udev: UdevStatus;
  /** Why the audit trail cannot be written now; absent while it can. */
  readonly audit?: string | undefined;
  /** The events of the engines of the seats. */
  readonly engines: readonly EngineEvents[];
  /** Devices that were given to seats by hand, plugged or not. */
  readonly attached: readonly AttachedStatus[];
  /** The process of the agent. */
  readonly pid: number;
}

/** Something that a rule leaves of a device that it takes. */
export interface Left {
  /** Its node, or its path where it has none. */
  readonly device: string;
  /** Its name for people. */
  readonly name: string;
  /** Why it stays with the host. */
  readonly reason: string;
}

/** A stream of events of an engine. */
export interface EngineEvents {
  /** The engine. */
  readonly engine: EngineName;
  /** Socket, file or command. */
  readonly place: string;
  /** Why it is not listened to; absent while it is. */
  readonly reason: string | undefined;
  /** How many events were heard since the policy names this engine. At each, the agent looked at its containers. */
  readonly words: number;
}

/** A device that was given to a seat by hand. */
export interface AttachedStatus {
  /** The device's name for people. */
  readonly name: string;
  /** The `ID_PATH` of its port; empty when it has none. */
  readonly port: string;
  /** The seat that it was given to. */
  readonly seat: string;
  /** When it goes back (ISO 8601); absent when it goes back only at a boot or when it is detached. */
  readonly until: string | undefined;
  /** The uid of the user who gave it. */
  readonly by: number;
}

/** The answer to `attach` and `detach`: the device, and whose it is now. */
export interface Attached extends AttachedStatus {
  /** The seat that has the device now, or `host` or `conflict`. */
  readonly owner: string;
  /** Why the device is not where it should be. */
  readonly problem: string | undefined;
}

/** A socket of a graphics card for a monitor, and which monitor is at it. */
export interface OutputInfo {
  /** Its name: `DP-1`. */
  readonly connector: string;
  /** Whether a monitor is plugged in. */
  readonly status: 'connected' | 'disconnected' | 'unknown';
  /** The monitor's own name; absent where it says nothing. */
  readonly monitor?: string | undefined;
  /** Whose it is, of a card whose outputs have seats of their own: `left`, `conflict` or `nobody`. */
  readonly owner?: string | undefined;
  /** The rules that won, or that are in conflict. */
  readonly rules?: readonly string[] | undefined;
}

/** A device and whose it is. */
export interface DeviceInfo {
  /** Its path in sysfs. */
  readonly device: string;
  /** Its name for people. */
  readonly name: string;
  /** Its nodes: `/dev/input/event3`. */
  readonly nodes: readonly string[];
  /** The `ID_PATH` of its port; empty when it has none. */
  readonly port: string;
  /** The kinds that it is of: `keyboard`. */
  readonly kinds: readonly string[];
  /** The seat that has it, or `host` or `conflict`. */
  readonly owner: string;
  /** The rules that won, or that are in conflict. */
  readonly rules: readonly string[];
  /** How the seat gets it; absent for a node. */
  readonly receive?: Receipt | undefined;
  /** Why no seat has it, although it is at a port of a seat or part of a device that a seat has. */
  readonly reason?: string | undefined;
  /** The outputs of a graphics card, in the order of their names. */
  readonly outputs?: readonly OutputInfo[] | undefined;
}

/** An output that shows its name. */
export interface IdentifiedOutput {
  /** `card1-DP-1`. */
  readonly output: string;
  /** The seat that has it, or `nobody` or `conflict`. */
  readonly owner: string;
  /** For how long its name is shown, ms. */
  readonly forMs: number;
}

/** A rule, and whether it matches the device. */
export interface RuleResult {
  /** The seat of the rule. */
  readonly seat: string;
  /** The label of the rule. */
  readonly label: string;
  /** File and line of the rule. */
  readonly place: string;
  /** The first condition that does not hold; absent when the rule matches. */
  readonly failed: string | undefined;
  /** The part of the same physical device that the rule matches, when this device comes along with it. */
  readonly along?: string | undefined;
}

/** A device, whose it is, and why. */
export interface Explanation extends DeviceInfo {
  /** The output that was asked about, such as `DP-1`; absent when it was the device. */
  readonly output?: string | undefined;
  /** Every rule, held against the device. */
  readonly trace: readonly RuleResult[];
  /**
   * Parts of it that do not come to its seat, and why: the raw node of its HID device when a rule asks for it, a stable
   * name.
   */
  readonly withheld: readonly Remark[];
  /** The parts of its physical device that stay with the host. */
  readonly left: readonly Left[];
}

/** A device that would get another owner. */
export interface PlanChange {
  /** Its path in sysfs. */
  readonly device: string;
  /** Its name for people. */
  readonly name: string;
  /** The seat that has it now, or `host` or `conflict`. */
  readonly from: string;
  /** The seat that would have it, or `host` or `conflict`. */
  readonly to: string;
}

/** The changes that a reload would make. */
export interface Plan {
  /** The policy that would be loaded. */
  readonly revision: string;
  /** Devices that would get another owner. */
  readonly changes: readonly PlanChange[];
  /** Devices that would stay with their seat and come in another way, in words. */
  readonly receipts: readonly string[];
  /** How the seats' shares would change, in words. */
  readonly shares: readonly string[];
  /** Why the reload would be refused without `--force`. */
  readonly dangers: readonly string[];
  /** Parts that would stay with the host although a seat has other parts of the same physical device, and why. */
  readonly left: readonly Left[];
}

/** The longest time of `--for`, ms: 9999 hours. */
const longestLoan = 9999 * 3_600_000;

/** Parses one line of a client. A text names its fault. */
export function parseRequest(line: string): Request | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'not JSON: send one JSON object a line';
  }
  if (typeof value !== 'object' || value === null || !('verb' in value)) return 'no "verb" in the request';
  const {
    verb,
    container,
    engine,
    timeoutMs,
    device,
    seat,
    forMs,
    revision,
    force,
    confirmMs,
    unmask,
    allowRollback,
    output,
  } = value as Record<string, unknown>;
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
    case 'identify':
      if (typeof output !== 'string') return '"identify" needs an "output"';
      if (typeof forMs !== 'number' || !(forMs >= 1000 && forMs <= 600_000)) {
        return '"identify" needs "forMs", 1000 to 600000';
      }
      return { verb, output, forMs };
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
      return `unknown verb ${JSON.stringify(verb)}: status, reload, confirm, attach, detach, watch, devices, explain, identify, explain-shares, record, plan, metrics or wait`;
  }
}
