import { readFileSync } from 'node:fs';

/** Reads a file of procfs, sysfs, cgroupfs or udev's database; undefined when what it is about has gone meanwhile. */
export function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
