import { chmodSync, closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Writes a file, whole or not at all (rename(2)). Without a `mode` only root reads it. `flush`: it and its name are on the
 * disk when this returns, so that a power cut before leaves the former or this one, and one after this one.
 */
export function replaceFile(file: string, text: string, { flush = false, mode = 0o600 } = {}): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600, flush });
  if (mode !== 0o600) chmodSync(`${file}.new`, mode);
  renameSync(`${file}.new`, file);
  if (flush) syncDirectory(dirname(file));
}

/** Brings renames and removals in a directory to the disk (fsync(2)). */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
