import { namesIn } from '../kernel/read.js';
import { standstillOf, standstills } from './layout.js';
import { goOn } from './standstill.js';

/**
 * Lets all containers go on that a former agent left standing still, because it was killed meanwhile. It needs no policy. Rejects
 * when that fails for one of them, after all were tried; its mark stays.
 */
export async function thawAll(): Promise<void> {
  const results = await Promise.allSettled(namesIn(standstills).map((seat) => goOn(standstillOf(seat))));
  const errors = results.flatMap((result) => (result.status === 'rejected' ? [(result.reason as Error).message] : []));
  if (errors.length > 0) throw new Error(errors.join('; '));
}
