import { type Device, nodeClass, type Unit } from './device.js';
import type { DesiredDevice, DesiredSeat } from './state.js';
import type { NodeSpec, Properties, RecordSpec } from './step.js';
import type { Claim } from './verdict.js';

/** How a device is shown inside a container: its database entry and the properties of its announcement. */
export interface Presentation {
  readonly record: RecordSpec;
  readonly properties: Properties;
}

/** A unit and the claim through which one seat gets it. */
export interface Grantee {
  readonly unit: Unit;
  readonly claim: Claim;
}

/** Host ids of the container's root, and the mode of nodes (octal bits). */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/**
 * What a seat shall look like: every node and every head of the units given to it.
 * `present` renders one device for the container; it belongs to the udev room, because it knows the formats.
 */
export function desiredSeat(
  grantees: readonly Grantee[],
  ownership: Ownership,
  present: (device: Device) => Presentation,
): DesiredSeat {
  return { devices: grantees.flatMap(({ unit, claim }) => unitDevices(unit, claim, ownership, present)) };
}

function unitDevices(
  unit: Unit,
  { rule }: Claim,
  ownership: Ownership,
  present: (device: Device) => Presentation,
): DesiredDevice[] {
  const heads = unit.nodes.some((node) => node.syspath === unit.head.syspath) ? [] : [unit.head];
  // A sound card's head is announced last: PulseAudio and PipeWire open all nodes the moment they hear of it.
  const order = unit.subsystem === 'sound' ? [...unit.nodes, ...heads] : [...heads, ...unit.nodes];
  return order.map((device) => {
    const { record, properties } = present(device);
    return {
      record,
      entry: {
        id: record.id,
        syspath: device.syspath,
        unit: unit.id,
        node: nodeSpec(unit, device, ownership),
        tags: record.tags,
        properties,
        rule: `${rule.place.file}:${rule.place.line}`,
        hard: rule.revoke === 'hard',
        knownTo: undefined,
      },
    };
  });
}

function nodeSpec(unit: Unit, device: Device, ownership: Ownership): NodeSpec | undefined {
  if (device.number === undefined) return undefined;
  return { class: nodeClass(unit.subsystem), name: device.sysname, number: device.number, ...ownership };
}
