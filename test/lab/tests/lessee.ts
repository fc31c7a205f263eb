// The output of guest/probes/lessee.py, which tries with a lease all that is not its own.

/** Requests for a neighbour's pictures: each in several forms, of which the kernel cares for none. */
const requests = [
  'getfb',
  'getfb2',
  'getfb2 of 112 bytes',
  'getfb2 of another letter',
  'getfb2 without an answer',
  'getfb2 of 32 bits',
  'gem_open',
  'gem_flink',
] as const;

/** The kernel's answers to the requests of one kind. */
interface Tried {
  readonly done: number;
  readonly errors: readonly string[];
}
/** Results of putting foreign framebuffers on the own output, by SETCRTC and by PAGE_FLIP. */
export type Screens = Readonly<Record<'shown' | 'flipped', Tried>>;
export type Pictures = Readonly<Record<(typeof requests)[number], Tried>>;

export interface Lessee {
  readonly answer: { readonly outputs: readonly string[] };
  readonly connectors: readonly number[];
  readonly crtcs: readonly number[];
  readonly refused: Readonly<Record<'lease' | 'master' | 'reopen', string | null>>;
  readonly pictures: Pictures;
  readonly screens: Screens;
}

/** None was done, and this was the reason each time: EPERM from the guard in the kernel, EACCES from the engine's filter. */
export const refused = (error: 'EPERM' | 'EACCES'): Pictures =>
  Object.fromEntries(requests.map((name) => [name, { done: 0, errors: [error] }])) as unknown as Pictures;
