import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Unit } from '../core/device.js';
import { parseFixture } from './fixture.js';
import { readPlain, seatFiles } from './load.js';

/** Where `hotseat record` puts devices, beside the seat files and their tests. */
const directoryOf = 'tests/devices';

/** The devices that were recorded beside a policy. `hotseat test` reports faults in their files. */
export function recordedDevices(directory: string): Unit[] {
  if (!existsSync(join(directory, directoryOf))) return [];
  return seatFiles(join(directory, directoryOf), []).flatMap((name) => {
    const file = `${directoryOf}/${name}`;
    const text = readPlain(directory, file, []);
    const parsed = text === undefined ? undefined : parseFixture(file, text);
    return parsed !== undefined && 'unit' in parsed ? [parsed.unit] : [];
  });
}

/**
 * Recorded devices that can have been in one PC at once. A repository has devices of many PCs. Two recordings from the same port of
 * two PCs are not one physical device.
 */
export function togetherAmong(units: readonly Unit[]): Unit[][] {
  const groups: Unit[][] = [];
  for (const unit of units) {
    const group = groups.find((others) => others.every((other) => canBeTogether(unit, other)));
    if (group === undefined) groups.push([unit]);
    else group.push(unit);
  }
  return groups;
}

/** Whether the devices above both have the same identity. */
function canBeTogether(a: Unit, b: Unit): boolean {
  if (a.id === b.id) return false;
  const above = new Map(b.head.ancestors.map(({ syspath, attributes }) => [syspath, attributes]));
  return a.head.ancestors.every(({ syspath, attributes }) => {
    const other = above.get(syspath);
    return other === undefined || identity.every((key) => other[key] === attributes[key]);
  });
}

const identity = ['idVendor', 'idProduct', 'serial', 'vendor', 'device'] as const;
