import { chmodSync, closeSync, fsyncSync, openSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { isGone } from './read.js';

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

/** Removes a file; a missing one is no error. rmSync asks first of what kind it is, which takes longer than the removal. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
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
