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
