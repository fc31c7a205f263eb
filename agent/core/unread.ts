import { decideAll, decider } from './decide.js';
import type { Unit } from './device.js';
import { rawPolicy } from './hid.js';
import type { Policy } from './policy.js';
import { unreadAt } from './verdict.js';

/** The devices above these units, or these units themselves, of which an attribute must be read before a policy can judge them. Pure. */
export function unreadBy(policy: Policy, units: () => readonly Unit[], raws: () => readonly Unit[]): Set<string> {
  const isAsked = policy.seats.some(({ rules }) =>
    rules.some(({ conditions }) => conditions.some((condition) => condition.on === 'attribute')),
  );
  if (!isAsked) return new Set();
  const verdicts = [
    ...decideAll(decider(policy), units()).values(),
    ...decideAll(decider(rawPolicy(policy)), raws()).values(),
  ];
  return new Set(verdicts.flatMap(unreadAt));
}
