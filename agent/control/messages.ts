/** What a client may ask over the control socket: one JSON object a line, one answer a line. */
export type Request =
  | { readonly verb: 'status' }
  | { readonly verb: 'reload' }
  /** Answered when everything that the named container shall have is granted to it, or the time is over. */
  | { readonly verb: 'wait'; readonly container: string; readonly timeoutMs: number };

export type Response =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: string; readonly details?: readonly string[] };

export interface DeviceStatus {
  readonly node: string | undefined;
  readonly name: string;
  readonly rule: string;
  /** Whether the container has been told of it. */
  readonly announced: boolean;
}

export interface SeatStatus {
  readonly seat: string;
  readonly container: string;
  readonly engine: string;
  readonly state: 'waiting' | 'setup' | 'running' | 'frozen';
  readonly problem: string | undefined;
  readonly deaf: readonly string[];
  readonly devices: readonly DeviceStatus[];
}

export interface Status {
  readonly revision: string;
  readonly policyErrors: readonly string[];
  readonly seats: readonly SeatStatus[];
  readonly conflicts: readonly { readonly device: string; readonly rules: readonly string[] }[];
  /** Ways in which what is typed at a seat may reach somebody else, in words. */
  readonly leaks: readonly string[];
  readonly udev: { readonly overruns: number; readonly restarts: number };
  readonly pid: number;
}

/** Parses one line of a client; a text says what is wrong with it. */
export function parseRequest(line: string): Request | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'not JSON: send one JSON object a line';
  }
  if (typeof value !== 'object' || value === null || !('verb' in value)) return 'no "verb" in the request';
  const { verb, container, timeoutMs } = value as Record<string, unknown>;
  switch (verb) {
    case 'status':
    case 'reload':
      return { verb };
    case 'wait':
      if (typeof container !== 'string') return '"wait" needs a "container" name';
      if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0 && timeoutMs <= 600_000)) {
        return '"wait" needs "timeoutMs", 0 to 600000';
      }
      return { verb, container, timeoutMs };
    default:
      return `unknown verb ${JSON.stringify(verb)}: status, reload or wait`;
  }
}
