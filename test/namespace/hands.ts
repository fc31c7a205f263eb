import { Helpers } from '../../agent/kernel/helpers.js';
import { Namespaces } from '../../agent/kernel/namespaces.js';
import { Reclaim } from '../../agent/kernel/reclaim.js';
import { type Effects, effectsBy } from '../../agent/seat/effects.js';

/** Helper processes, as the agent has them; they end with `namespaces.close()`. `limitMs`: longest that an answer may take. */
export function hands(limitMs?: number): {
  helpers: Helpers;
  namespaces: Namespaces;
  reclaim: Reclaim;
  effects: Effects;
} {
  const helpers = new Helpers(limitMs);
  const reclaim = new Reclaim(helpers);
  return { helpers, namespaces: new Namespaces(helpers), reclaim, effects: effectsBy(reclaim) };
}
