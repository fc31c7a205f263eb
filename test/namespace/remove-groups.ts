import { existsSync, rmdirSync } from 'node:fs';
import { until } from './until.js';

/** Removes cgroups, the last of them first, as soon as nobody is in them any more. */
export const removeGroups = (groups: readonly string[]): Promise<void> =>
  until('the groups to go', () => {
    try {
      // Some of them may have gone at the last try.
      for (const path of groups.toReversed()) if (existsSync(path)) rmdirSync(path);
    } catch {
      return false;
    }
    return true;
  });
