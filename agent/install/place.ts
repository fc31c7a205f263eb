import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { InstalledFile } from './files.js';

/** The planned or finished change of a file. */
export interface Change {
  readonly path: string;
  readonly what: 'write' | 'keep' | 'remove' | 'absent';
}

/** The change of each file by an installation. A file that is right already, or the admin's, is kept. */
export const changesForInstall = (files: readonly InstalledFile[], root = '/'): Change[] =>
  files.map(({ path, text, admins }): Change => {
    const at = join(root, path);
    const there = existsSync(at);
    return { path, what: there && (admins || readFileSync(at, 'utf8') === text) ? 'keep' : 'write' };
  });

/** The change of each file by an uninstallation. Files that the admin may have changed stay. */
export const changesForUninstall = (files: readonly InstalledFile[], root = '/'): Change[] =>
  files.map(({ path, admins }): Change => {
    const there = existsSync(join(root, path));
    return { path, what: there ? (admins ? 'keep' : 'remove') : 'absent' };
  });

/** Does it; a file is there whole or not at all. */
export function apply(changes: readonly Change[], files: readonly InstalledFile[], root = '/'): void {
  for (const { path, what } of changes) {
    const at = join(root, path);
    switch (what) {
      case 'write': {
        const file = files.find((other) => other.path === path);
        if (file === undefined) throw new Error(`${path} is no file of the installation`);
        mkdirSync(dirname(at), { recursive: true, mode: 0o755 });
        writeFileSync(`${at}.new`, file.text);
        chmodSync(`${at}.new`, file.mode);
        renameSync(`${at}.new`, at);
        break;
      }
      case 'remove':
        rmSync(at);
        break;
      case 'keep':
      case 'absent':
        break;
    }
  }
}
