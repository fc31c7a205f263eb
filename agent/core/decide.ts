import type { Unit } from './device.js';
import { mismatch } from './match.js';
import type { Policy } from './policy.js';
import type { Claim, TraceLine, Verdict } from './verdict.js';

/** A policy, ready to judge one unit after the other. */
export type Decider = (unit: Unit) => Verdict;

/**
 * Judges by a policy: in each seat the first rule that matches claims the unit. One claim wins; several win together
 * only if every one says `share`; otherwise it is a conflict, never a race. Pure.
 */
export function decider(policy: Policy): Decider {
  return ({ head }) => {
    const trace: TraceLine[] = [];
    const claims: Claim[] = [];
    for (const { seat, rules } of policy.seats) {
      for (const rule of rules) {
        const failed = mismatch(rule, head);
        trace.push({ seat, rule, failed });
        if (failed === undefined) {
          claims.push({ seat, rule });
          break;
        }
      }
    }
    if (claims.length === 0) return { kind: 'host', trace };
    if (claims.length === 1 || claims.every(({ rule }) => rule.share)) return { kind: 'seat', claims, trace };
    return { kind: 'conflict', claims, trace };
  };
}

/** The seat that logind on the host shall see; undefined for what stays the host's own. */
export function hostSeat(verdict: Verdict): string | undefined {
  if (verdict.kind === 'host') return undefined;
  const [claim, ...others] = verdict.claims;
  return claim === undefined || others.length > 0 ? sharedSeat : `seat-${claim.seat}`;
}

/** Shared and conflicting devices are put here on the host, so that seat0 never takes them. */
export const sharedSeat = 'seat-hotseat';
