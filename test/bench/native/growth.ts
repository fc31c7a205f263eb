// The picture of a run. Pure.

import type { Series } from '../plot.js';
import type { Row } from '../result.js';

/** How a plug and an unplug grow with what else is plugged, and with seats. */
export function growth(all: readonly Row[]): Series[] {
  const floor = all.find(({ column, what }) => column === 'floor' && what === 'plug')?.times.p50;
  const lines = (['own', 'base'] as const).flatMap((column) =>
    (['plug', 'unplug'] as const).map(
      (name): Series => ({
        name: `${name}, ${column === 'own' ? 'this tree' : 'base'}`,
        points: all.flatMap((row) =>
          row.name === name && row.column === column && row.size !== undefined && row.what === 'nothing left to be done'
            ? [[row.size.seats + row.size.plugged, row.times.p50] as const]
            : [],
        ),
      }),
    ),
  );
  const xs = lines.flatMap(({ points }) => points.map(([x]) => x));
  const flat: Series[] =
    floor === undefined || xs.length === 0
      ? []
      : [
          {
            name: 'floor, plug',
            points: [
              [Math.min(...xs), floor],
              [Math.max(...xs), floor],
            ],
          },
        ];
  return [...lines, ...flat].filter(({ points }) => points.length > 0);
}
