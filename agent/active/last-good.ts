import { readFileSync } from 'node:fs';
import * as z from 'zod';
import type { Loaded, Text } from '../policy/files.js';
import { compose } from '../policy/load.js';
import { writeDurably } from './durable.js';

/** Survives a boot, unlike everything below /run. */
export const lastGoodFile = '/var/lib/hotseat/last-good.json';

const stored = z.object({
  revision: z.string(),
  texts: z.array(z.object({ name: z.string(), text: z.string() })),
});

/** Keeps the files of a policy that was adopted. */
export const keepLastGood = (file: string, revision: string, texts: readonly Text[]): void =>
  writeDurably(file, JSON.stringify({ revision, texts }));

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
