/** An event, for people and machines that watch. A client that comes later has missed no state, only the news. */
export type Happening =
  /** A seat got a node, or lost it. */
  | {
      /** Which of the two. */
      readonly kind: 'bound' | 'unbound';
      /** The name of the seat. */
      readonly seat: string;
      /** The name of its container. */
      readonly container: string | undefined;
      /** The node: `/dev/input/event3`. */
      readonly device: string;
      /** The rule that gave it: `left.yaml:4`. */
      readonly rule: string;
    }
  /** The container of a seat started or ended. */
  | {
      /** Names this form. */
      readonly kind: 'container';
      /** The name of the seat. */
      readonly seat: string;
      /** The name of the container. */
      readonly container: string;
      /** Which of the two. */
      readonly state: 'came' | 'went';
    }
  /** A display server of a seat got outputs by a lease, lost them because policy or the holder took them back, or ended. */
  | {
      /** Names this form. */
      readonly kind: 'outputs';
      /** The name of the seat. */
      readonly seat: string;
      /** The node of the card: `/dev/dri/card1`. */
      readonly device: string;
      /** The names of the outputs. */
      readonly outputs: readonly string[];
      /** Which of the three. */
      readonly state: 'leased' | 'taken back' | 'ended';
    }
  /** Several seats want a device. */
  | {
      /** Names this form. */
      readonly kind: 'conflict';
      /** Its node, or its path where it has none. */
      readonly device: string;
      /** The rules that want it. */
      readonly rules: readonly string[];
    }
  /** A policy was taken. */
  | {
      /** Names this form. */
      readonly kind: 'policy';
      /** The policy: a commit, or `unversioned`. */
      readonly revision: string;
      /** The names of its seats. */
      readonly seats: readonly string[];
    }
  /** A policy was refused. */
  | {
      /** Names this form. */
      readonly kind: 'refused';
      /** Why, in words. */
      readonly reasons: readonly string[];
    };

/**
 * Takes in a duration, s: of a plan, or of the way from udevd's message to the announcement in the container. `units`:
 * the number of units of a plan.
 */
export type Measure = (what: 'plan' | 'announce' | 'units', value: number) => void;

/** Takes in events; never throws and never waits. */
export type Tell = (happening: Happening) => void;
