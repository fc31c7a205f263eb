/** How long processes of a group waited for a resource (Documentation/accounting/psi.rst). */
export interface Pressure {
  /** Part of the last 10 s in which some of its processes waited, percent. */
  readonly some: number;
  /** Part of the last 10 s in which all of them waited at once, percent. Older kernels do not say it of processors. */
  readonly full: number;
  /** `some` as a sum since the group was made, s. */
  readonly someSeconds: number;
  /** `full` as a sum since the group was made, s. */
  readonly fullSeconds: number;
}

export const pressureNames = ['cpu', 'memory', 'io'] as const;
export type PressureName = (typeof pressureNames)[number];

/** A `*.pressure` file; undefined where the kernel does not count (no such file, or an empty one). */
export function pressureOf(text: string | undefined): Pressure | undefined {
  const line = (kind: string): { average: number; seconds: number } | undefined => {
    const [, average, micros] =
      new RegExp(`^${kind} avg10=(\\d+\\.\\d+) avg60=\\S+ avg300=\\S+ total=(\\d+)$`, 'm').exec(text ?? '') ?? [];
    return average === undefined ? undefined : { average: Number(average), seconds: Number(micros) / 1e6 };
  };
  const some = line('some');
  if (some === undefined) return undefined;
  const full = line('full');
  return {
    ...{ some: some.average, full: full?.average ?? 0 },
    ...{ someSeconds: some.seconds, fullSeconds: full?.seconds ?? 0 },
  };
}
