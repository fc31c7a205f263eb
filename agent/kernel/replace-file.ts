import { renameSync, writeFileSync } from 'node:fs';

/**
 * Writes a file that only root reads, whole or not at all (rename(2)). `flush`: it is on the disk before it counts, so that
 * a power cut leaves the former or this one.
 */
export function replaceFile(file: string, text: string, { flush = false } = {}): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600, flush });
  renameSync(`${file}.new`, file);
}
