/** Who asked for something over the control socket: the other end of the connection, as the kernel knows it. */
export interface Asker {
  readonly uid: number;
  readonly pid: number;
}

/** Something that is done to the bindings, or decides about them. What does not apply is left out. */
export interface Deed {
  readonly what: 'run' | 'policy' | 'confirm' | 'attach' | 'detach' | 'bind' | 'unbind' | 'revoke';
  readonly seat?: string | undefined;
  readonly container?: string | undefined;
  /** Syspath of the unit. */
  readonly device?: string | undefined;
  /** What people call it. */
  readonly name?: string | undefined;
  /** `/dev/input/event3`. */
  readonly nodes?: readonly string[] | undefined;
  /** Label of the rule that asked for it, and where that stands. */
  readonly rule?: string | undefined;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
  /** Whoever asked for it by a verb. */
  readonly by?: Asker | undefined;
  /** When it ends by itself (ISO 8601). */
  readonly until?: string | undefined;
  /** Of a `run`: pid and start time, which tell whether it is this very process that still runs. */
  readonly process?: string | undefined;
}

/** How it ended. `gone`: the device was unplugged meanwhile, which is nobody's fault. */
export interface Outcome {
  readonly end: 'done' | 'gone' | 'failed';
  readonly error?: string | undefined;
  /** Of a policy: the revision that was taken. */
  readonly took?: string | undefined;
  /** Of a revocation: descriptors taken back, who could not be made to let go, and what was bound anew because of it. */
  readonly revoked?: number | undefined;
  readonly left?: readonly string[] | undefined;
  readonly anew?: string | undefined;
}

/**
 * Puts on record that something is about to be done; what it returns is called when that is over. Neither throws, and
 * neither waits for a disk: both are on the way of every event.
 */
export type Audit = (deed: Deed) => (outcome: Outcome) => void;

/** For what is done without an agent. */
export const unrecorded: Audit = () => () => undefined;

/** Does something on record; what it throws is its end, and thrown on. */
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

/** What went wrong, with the lines that tell more, where an error has such. */
const wordsOf = (error: Error & { readonly details?: readonly string[] }): string =>
  [error.message, ...(error.details ?? [])].join('; ');
