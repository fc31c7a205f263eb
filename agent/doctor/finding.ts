/** The subject: part of the PC, or a seat with its name. */
export type Area =
  | 'kernel'
  | 'udev'
  | 'service'
  | 'boot'
  | 'policy'
  | 'engines'
  | 'shares'
  | 'outputs'
  | `seat ${string}`;

/** One result of a check. */
export type Finding =
  /** All is well. */
  | {
      /** Names this form. */
      readonly level: 'ok';
      /** The part of the PC that was looked at. */
      readonly area: Area;
      /** A finding. */
      readonly text: string;
    }
  /** Something is wrong. */
  | {
      /** A problem keeps something from working. A warning is worth knowing. */
      readonly level: 'warning' | 'problem';
      /** The part of the PC that was looked at. */
      readonly area: Area;
      /** The fault. */
      readonly text: string;
      /** The remedy. */
      readonly remedy: string;
    };

/** Findings of one area. */
export const about = (area: Area) => ({
  ok: (text: string): Finding => ({ level: 'ok', area, text }),
  warning: (text: string, remedy: string): Finding => ({ level: 'warning', area, text, remedy }),
  problem: (text: string, remedy: string): Finding => ({ level: 'problem', area, text, remedy }),
});
