/** What was looked at: part of the PC, or a seat with its name. */
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

/** One thing that the doctor has to say. A problem keeps something from working; a warning is worth knowing. */
export type Finding =
  | { readonly level: 'ok'; readonly area: Area; readonly text: string }
  | { readonly level: 'warning' | 'problem'; readonly area: Area; readonly text: string; readonly remedy: string };

/** Findings of one area. */
export const about = (area: Area) => ({
  ok: (text: string): Finding => ({ level: 'ok', area, text }),
  warning: (text: string, remedy: string): Finding => ({ level: 'warning', area, text, remedy }),
  problem: (text: string, remedy: string): Finding => ({ level: 'problem', area, text, remedy }),
});
