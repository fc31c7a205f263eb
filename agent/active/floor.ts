import { readFileSync } from 'node:fs';
import { isAncestor } from '../policy/git.js';
import type { PolicyPlace } from '../policy/source.js';
import { writeDurably } from './durable.js';

/** Outside of the repository, which its owner may put back as he likes; survives a boot. */
export const floorFile = '/var/lib/hotseat/floor';

/** Remembers the signed commit that is there to stay. */
export const keepFloor = (file: string, commit: string): void => writeDurably(file, `${commit}\n`);

/** The commit that was kept last; undefined when none was. Throws when the file is there and says nothing of the kind. */
function floorOf(file: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  if (!/^[0-9a-f]{40,64}$/.test(text)) throw new Error(`${file} names no commit: hotseat reload --allow-rollback`);
  return text;
}

/**
 * Why a signed commit must not follow the last confirmed one. An old commit has a good signature as well, so only
 * descendants of the confirmed commit count as newer. Undefined when it may, and where nothing has to be signed.
 */
export async function rollback(place: PolicyPlace, commit: string, file = floorFile): Promise<string | undefined> {
  const { policies: repository, signers } = place;
  if (signers === undefined) return undefined;
  try {
    const floor = floorOf(file);
    if (floor === undefined || floor === commit || (await isAncestor(repository, floor, commit))) return undefined;
    return `${commit} does not descend from ${floor}, the last commit that was confirmed: root takes it with hotseat reload --allow-rollback`;
  } catch (error) {
    return `whether ${commit} is a step back cannot be told: ${(error as Error).message}`;
  }
}
