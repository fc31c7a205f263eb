import type { DesiredSeat } from '../../agent/core/state.js';
import type { Wish } from '../../agent/seat/wishes.js';

/** A seat that is wanted as it stands, unit by unit. */
export const wishesOf = ({ devices, unknown }: DesiredSeat): Map<string, Wish> =>
  new Map(
    devices.map(({ entry: { unit } }) => [
      unit,
      () => ({ devices: devices.filter(({ entry }) => entry.unit === unit), unknown }),
    ]),
  );
