import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Text } from '../policy/files.js';

/** Survives a boot: an agent that starts again must not keep a policy that nobody confirmed. */
export const trialFile = '/var/lib/hotseat/on-trial';

/** Remembers the policy that was taken on trial, by a digest of its files; none: the active policy stays. */
export function markTrial(file: string, texts: readonly Text[] | undefined): void {
  if (texts === undefined) {
    rmSync(file, { force: true });
    return;
  }
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(file, digestOf(texts), { mode: 0o600, flush: true });
}

/** Whether these files are the policy that was taken on trial last, and that nobody confirmed. */
export function isUnconfirmed(file: string, texts: readonly Text[]): boolean {
  try {
    return readFileSync(file, 'utf8') === digestOf(texts);
  } catch {
    return false;
  }
}

const digestOf = (texts: readonly Text[]): string =>
  createHash('sha256')
    .update(JSON.stringify(texts.map(({ name, text }) => [name, text])))
    .digest('hex');
