import type { Unit } from './device.js';
import { ControlError } from './refusal.js';

/**
 * The unit that people mean: by a node, a path in sysfs, a kernel name, or a name that only one device has. Pure.
 * @throws ControlError when there is none, or more than one.
 */
export function findUnit(units: readonly Unit[], wanted: string): Unit {
  const names = ({ id, head, nodes }: Unit): (string | undefined)[] => [
    id,
    ...[head, ...nodes].flatMap(({ syspath, sysname, node, links }) => [syspath, sysname, node, ...links]),
    head.attributes['name'],
  ];
  const found = units.filter((unit) => names(unit).includes(wanted));
  const [unit] = found;
  if (unit === undefined)
    throw new ControlError('no-device', `no device ${JSON.stringify(wanted)}: hotseat devices lists them`);
  if (found.length === 1) return unit;
  throw new ControlError(
    'many-devices',
    `${found.length} devices are ${JSON.stringify(wanted)}: name one by its node or path`,
    [...found.map(({ id }) => id)],
  );
}
