import type { Unit } from './device.js';
import { ControlError } from './refusal.js';

/** The raw node that people mean, by its node, its kernel name or its path in sysfs; undefined where it is none of these. */
export const findRaw = (raws: readonly Unit[], wanted: string): Unit | undefined =>
  raws.find(({ id, head }) => [id, head.sysname, head.node].includes(wanted));

/** The refusal of a verb that takes no raw node; `inputs`: the inputs of its device. */
export function rawRefused({ head }: Unit, inputs: readonly string[]): ControlError {
  const node = head.node ?? head.sysname;
  const names = inputs.map((input) => input.slice(input.lastIndexOf('/') + 1));
  const message =
    names.length === 0
      ? `${node} has no input: a rule with \`hidraw: true\` gives it, or brings it along with another part of its device`
      : `${node} goes where the inputs of its device go, if their rule says \`hidraw: true\`: name ${names.join(' or ')}`;
  return new ControlError('raw-node', message);
}

/** An output of a graphics card. */
export interface Output {
  readonly unit: Unit;
  /** `DP-1`. */
  readonly connector: string;
}

/**
 * The output that people mean: `card1-DP-1`, its path in sysfs, or `DP-1` where one card alone has that. Undefined where it
 * is none of these. Pure.
 * @throws ControlError when several cards have one of this name.
 */
export function findOutput(units: readonly Unit[], wanted: string): Output | undefined {
  const all = units.flatMap((unit) =>
    (unit.connectors ?? []).map((connector) => ({ unit, connector, name: `${unit.head.sysname}-${connector}` })),
  );
  const exact = all.find(({ unit, name }) =>
    [name, `${unit.head.syspath}/${name}`, `/sys/class/drm/${name}`].includes(wanted),
  );
  if (exact !== undefined) return exact;
  const found = all.filter(({ connector }) => connector === wanted);
  if (found.length < 2) return found[0];
  throw new ControlError(
    'many-devices',
    `${found.length} cards have an output ${JSON.stringify(wanted)}: name it with its card`,
    [...found.map(({ name }) => name)],
  );
}

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
