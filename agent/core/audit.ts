/** Who asked for something over the control socket: the other end of the connection, as the kernel knows it. */
export interface Asker {
  /** The uid of the user. */
  readonly uid: number;
  /** Its pid. */
  readonly pid: number;
}

/** Something that is done to the bindings, or decides about them. Fields that do not apply are left out. */
export interface Deed {
  /** The action. */
  readonly what: 'run' | 'policy' | 'confirm' | 'attach' | 'detach' | 'bind' | 'unbind' | 'revoke';
  /** The name of the seat. */
  readonly seat?: string | undefined;
  /** The name of its container. */
  readonly container?: string | undefined;
  /** The path of the device in sysfs. */
  readonly device?: string | undefined;
  /** The device's name for people. */
  readonly name?: string | undefined;
  /** Its nodes: `/dev/input/event3`. */
  readonly nodes?: readonly string[] | undefined;
  /** The label of the rule that asked for it. */
  readonly rule?: string | undefined;
  /** The seat file of that rule. */
  readonly file?: string | undefined;
  /** The line of that rule. */
  readonly line?: number | undefined;
  /** The client that asked for it by a verb. */
  readonly by?: Asker | undefined;
  /** When it ends by itself (ISO 8601). */
  readonly until?: string | undefined;
  /** Of a `run`: the pid and start time of the agent. They tell whether this very process still runs. */
  readonly process?: string | undefined;
}

/** How it ended. `gone`: the device was unplugged meanwhile, which is nobody's fault. */
export interface Outcome {
  /** How it ended. `gone`: the device was unplugged meanwhile, which is no failure. */
  readonly end: 'done' | 'gone' | 'failed';
  /** Why it failed. */
  readonly error?: string | undefined;
  /** Of a policy: the revision that was taken. */
  readonly took?: string | undefined;
  /** Of a revocation: how many descriptors were taken back. */
  readonly revoked?: number | undefined;
  /** Of a revocation: processes that could not be made to let go. */
  readonly left?: readonly string[] | undefined;
  /** Of a revocation: the driver that was bound again because of them. */
  readonly rebound?: string | undefined;
}

/**
 * Puts on record that an action is about to begin. The caller calls the returned function when the action is over.
 * Neither throws, and neither waits for a disk: both are on the way of every event.
 */
export type Audit = (deed: Deed) => (outcome: Outcome) => void;

/** For actions without an agent. */
export const unrecorded: Audit = () => () => undefined;

/** Does something on record. An error ends the record, and is thrown on. */
export async function onRecord<T>(
  audit: Audit,
  deed: Deed,
  act: () => Promise<T>,
  outcome: (result: T) => Omit<Outcome, 'end'> = () => ({}),
): Promise<T> {
  const close = audit(deed);
  try {
    const result = await act();
    close({ ...outcome(result), end: 'done' });
    return result;
  } catch (error) {
    close({ end: 'failed', error: wordsOf(error as Error) });
    throw error;
  }
}

/** The text of an error, with its further lines if it has any. */
const wordsOf = (error: Error & { readonly details?: readonly string[] }): string =>
  [error.message, ...(error.details ?? [])].join('; ');
