import { hostSeat, sharedSeat } from './decide.js';
import type { Device, Unit } from './device.js';
import { isLoan } from './loan.js';
import { areApart, byPhysical } from './physical.js';
import { lineOf } from './policy.js';
import { type Claim, claimsOf, type Verdict } from './verdict.js';

/**
 * udev judges each device by itself and cannot know the other parts of the same physical device. The agent says so, in
 * an argument of the event that it asks for (`SYNTH_ARG_HOTSEAT`, Documentation/ABI/testing/sysfs-uevent): letters and
 * digits only. Nobody has a seat of these names: they begin with a small letter.
 */
export const alongShared = 'Z';
const alongNobody = '0';

/** A seat in such an argument: a hyphen may not be in it, and no seat's name has a capital. */
export const alongSeat = (seat: string): string => seat.replaceAll('-', 'Z');

/** Whether a seat has something only because it is the same physical device as something else. */
export const isAlong = (verdict: Verdict): boolean => claimsOf(verdict).some(({ along }) => along !== undefined);

/** The message for udev about a head; undefined while udev knows. udev is told nothing that it can judge by itself. */
export function alongArgument({ properties }: Device, verdict: Verdict): string | undefined {
  const known = properties['HOTSEAT_WITH'] ?? alongNobody;
  const wanted = isAlong(verdict) ? argumentOf(hostSeat(verdict)) : alongNobody;
  return known === wanted ? undefined : wanted;
}

const argumentOf = (seat: string | undefined): string =>
  seat === undefined || seat === sharedSeat ? alongShared : alongSeat(seat.slice('seat-'.length));

/** A part of a physical device that a rule leaves with the host, while a seat gets the rest. */
export interface LeftBehind {
  readonly unit: Unit;
  /** The seat that has another part of the device, and the rule by which it has that. */
  readonly claim: Claim;
}

/** Everything that stays with the host although a seat has other parts of the same physical device. */
export function leftBehind(units: readonly Unit[], verdictOf: (unit: Unit) => Verdict | undefined): LeftBehind[] {
  return [...byPhysical(units).values()].flatMap((parts) => {
    if (parts.length < 2) return [];
    return parts.flatMap((unit) => {
      if (verdictOf(unit)?.kind !== 'host') return [];
      const claims = parts.flatMap((part) => {
        const verdict = verdictOf(part);
        return verdict?.kind === 'seat' && !areApart(part, unit) ? verdict.claims : [];
      });
      const claim = claims.find(({ along }) => along === undefined) ?? claims[0];
      return claim === undefined ? [] : [{ unit, claim }];
    });
  });
}

/** Why something is left behind, in words. */
export function whyLeft({ claim: { seat, rule } }: LeftBehind): string {
  const remedy = isLoan(rule)
    ? 'hotseat attach gives it away as well'
    : rule.whole
      ? 'the port, the subsystem or the not of that rule keeps it out'
      : 'whole: true in that rule would bring it along';
  return `${seat} has another part of the same physical device (${lineOf(rule.place)}): ${remedy}`;
}
