import { leftBehind, whyLeft } from '../core/along.js';
import { decideAll, decider } from '../core/decide.js';
import type { Unit } from '../core/device.js';
import { nameOf } from '../core/name.js';
import type { Diagnostic, Policy } from '../core/policy.js';
import { rawRefusal } from '../core/receipts.js';
import { togetherAmong } from './recorded.js';

/** In words: parts of the recorded devices beside the policy that the rules leave with the host. */
export function leftNotes(policy: Policy, recorded: readonly Unit[]): string[] {
  const decide = decider(policy);
  return togetherAmong(recorded).flatMap((units) => {
    const verdicts = decideAll(decide, units);
    return leftBehind(units, ({ id }) => verdicts.get(id)).map(
      (one) => `${one.unit.head.sysname} ${nameOf(one.unit)} stays with the host: ${whyLeft(one)}`,
    );
  });
}

/** Remarks on a good policy, in words. */
export function notesOf({ seats }: Pick<Policy, 'seats'>): string[] {
  const users = new Map<string, string[]>();
  for (const { seat, container } of seats) {
    if (container.user !== undefined) users.set(container.user, [...(users.get(container.user) ?? []), seat]);
  }
  return [...users].flatMap(([user, theirs]) =>
    theirs.length < 2
      ? []
      : [
          `seats ${theirs.join(', ')} trust each other: ${user} runs their containers, and has the same rights in each of them`,
        ],
  );
}

/** The parts of a policy that this very kernel cannot do; `release` as uname(2) has it. */
export function refusedHere({ seats }: Pick<Policy, 'seats'>, release: string): Diagnostic[] {
  const why = rawRefusal(release);
  if (why === undefined) return [];
  return seats.flatMap(({ rules }) =>
    rules.flatMap(({ hidraw, receive, place }): Diagnostic[] =>
      hidraw && receive === 'descriptor'
        ? [
            {
              place,
              message: `"hidraw" with "receive: descriptor": ${why}`,
              remedy: 'write "receive: node" for this device',
            },
          ]
        : [],
    ),
  );
}
