/** Has the holder show the name of an output on it for a while: a line of JSON, answered with `Identified`. */
export interface WantedName {
  /** Counts up. */
  readonly identify: number;
  /** `/dev/dri/card1`. */
  readonly node: string;
  /** `DP-1`. */
  readonly connector: string;
  /** The lines to show, the largest first. */
  readonly lines: readonly string[];
  readonly ms: number;
}

/** Why a name is not shown: somebody shows pictures there, or there is nobody to see it. */
export type Unshown = 'output-in-use' | 'no-monitor' | 'failed';

export interface Identified {
  /** The request's number. */
  readonly identified: number;
  /** Absent when the name is shown. */
  readonly refusal?: { readonly code: Unshown; readonly text: string };
}

export const isOfName = (wanted: object): wanted is WantedName => 'identify' in wanted;
export const isIdentified = (said: object): said is Identified => 'identified' in said;

/** A name that is not shown. */
export class UnshownError extends Error {
  constructor(
    readonly code: Unshown,
    message: string,
  ) {
    super(message);
    this.name = 'UnshownError';
  }
}

/** The answer to a request that went well, or not. */
export async function identifiedBy({ identify }: WantedName, shown: Promise<void>): Promise<Identified> {
  try {
    await shown;
    return { identified: identify };
  } catch (error) {
    const code = error instanceof UnshownError ? error.code : 'failed';
    return { identified: identify, refusal: { code, text: (error as Error).message } };
  }
}
