/** What happened, for people and machines who watch; one that comes later has not missed a state, only the news. */
export type Happening =
  | {
      readonly kind: 'bound' | 'unbound';
      readonly seat: string;
      readonly container: string | undefined;
      /** `/dev/input/event3`. */
      readonly device: string;
      /** The rule that gave it: `left.yaml:4`. */
      readonly rule: string;
    }
  | { readonly kind: 'container'; readonly seat: string; readonly container: string; readonly state: 'came' | 'went' }
  /** A display server of a seat got outputs by a lease, lost them because policy or the holder took them back, or ended. */
  | {
      readonly kind: 'outputs';
      readonly seat: string;
      /** `/dev/dri/card1`. */
      readonly device: string;
      readonly outputs: readonly string[];
      readonly state: 'leased' | 'taken back' | 'ended';
    }
  | { readonly kind: 'conflict'; readonly device: string; readonly rules: readonly string[] }
  | { readonly kind: 'policy'; readonly revision: string; readonly seats: readonly string[] }
  /** A policy was not taken, and why. */
  | { readonly kind: 'refused'; readonly reasons: readonly string[] };

/**
 * Takes in how long something took, s: a plan, or the way from udevd's message to the announcement in the container; or how
 * many units a plan was made for.
 */
export type Measure = (what: 'plan' | 'announce' | 'units', value: number) => void;

/** Takes in what happens; never throws and never waits. */
export type Tell = (happening: Happening) => void;
