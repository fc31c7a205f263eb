import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

/** Where engines' programs are. It does not depend on the PATH of the agent. */
const programDirectories = [
  '/usr/bin',
  '/usr/sbin',
  '/usr/local/bin',
  '/usr/local/sbin',
  '/opt/incus/bin',
  '/usr/libexec/incus',
  '/snap/bin',
];

/** Where an engine's program is; undefined when it is not installed. */
export function programPath(program: string): string | undefined {
  return programDirectories
    .map((directory) => join(directory, program))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
