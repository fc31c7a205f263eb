import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { replaceFile } from '../kernel/replace-file.js';

/** Writes a file that only root reads and that survives a boot; a crash leaves the former or this one, never half of it. */
export function writeDurably(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  replaceFile(file, text, { flush: true });
}
