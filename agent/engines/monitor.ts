import { readOptional } from '../kernel/read.js';
import { parentOf } from './process.js';
import { realUid } from './provenance.js';
import { uidOf } from './users.js';

/**
 * The command line of the parent of a container's init, which is its engine's monitor as long as that lives: nothing when
 * the parent is not of the user whose engine it is (undefined: root's), because anybody can have any command line.
 */
export function titleOf(init: number, user: string | undefined): string[] {
  const parent = parentOf(init);
  if (parent === undefined || realUid(parent) !== Number(user === undefined ? 0 : uidOf(user))) return [];
  return (readOptional(`/proc/${parent}/cmdline`) ?? '').split('\0');
}
