import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { Loaded, Text } from './files.js';
import { compose } from './load.js';

/** Survives a boot, unlike everything below /run. */
export const lastGoodFile = '/var/lib/hotseat/last-good.json';

const stored = z.object({
  revision: z.string(),
  texts: z.array(z.object({ name: z.string(), text: z.string() })),
});

/** Keeps the files of a policy that was adopted; a crash leaves the former or this one, never half of it. */
export function keepLastGood(file: string, revision: string, texts: readonly Text[]): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.new`, JSON.stringify({ revision, texts }), { mode: 0o600, flush: true });
  renameSync(`${file}.new`, file);
}

/** The policy that was adopted last, undefined when there is none or it no longer is one. */
export function lastGood(file: string, host: string): Extract<Loaded, { ok: true }> | undefined {
  try {
    const { revision, texts } = stored.parse(JSON.parse(readFileSync(file, 'utf8')));
    const loaded = compose(texts, revision, host);
    return loaded.ok ? loaded : undefined;
  } catch {
    return undefined;
  }
}
