import { ownerOf, ownerText } from './changes.js';
import type { Policy } from './policy.js';
import { type Claim, claimsOf, type Verdict } from './verdict.js';

/** A HID device's own name in sysfs: bus, vendor, product, and a number that counts up (hid-core.c, hid_add_device). */
const part = /\/[0-9A-F]{4,}:[0-9A-F]{4,}:[0-9A-F]{4,}\.[0-9A-F]{4,}(?=\/)/g;

/**
 * The HID devices that something is part of, outermost first: a wireless receiver is one HID device, and each device
 * that is paired with it is another.
 */
export const hidDevicesAbove = (syspath: string): string[] =>
  [...syspath.matchAll(part)].map((match) => syspath.slice(0, match.index + match[0].length));

/** Whether a path in sysfs is that of a HID device itself. */
export const isHidDevice = (syspath: string): boolean => hidDevicesAbove(`${syspath}/`).at(-1) === syspath;

/** The HID device whose raw node this is; undefined for anything else. */
export function hidDeviceOf(syspath: string): string | undefined {
  if (!syspath.includes('/hidraw/')) return undefined; // nearly always, and much sooner known
  const hid = /^(.*)\/hidraw\/hidraw\d+$/.exec(syspath)?.[1];
  return hid !== undefined && hidDevicesAbove(syspath).includes(hid) ? hid : undefined;
}

/**
 * Whether input at one of two devices can be read at the other: they are the same, or one is the raw node of a HID
 * device that the other is part of. Two seats must never have one each.
 */
export const overhears = (a: string, b: string): boolean => a === b || reads(a, b) || reads(b, a);

function reads(raw: string, other: string): boolean {
  const hid = hidDeviceOf(raw);
  return hid !== undefined && other.startsWith(`${hid}/`);
}

/** An input of a HID device, and whose it is; no verdict while udevd has not finished with it. */
export interface HidInput {
  /** `input7`. */
  readonly name: string;
  readonly verdict: Verdict | undefined;
}

const unreadReason = 'an attribute that a rule asks for could not be read yet';

/** Where a raw node goes: along with the inputs to the seat that asked for it, or, though asked for, to nobody. */
export type Placement =
  | { readonly kind: 'seat'; readonly claim: Claim }
  | { readonly kind: 'withheld'; readonly reason: string };

/**
 * Places the raw node of a HID device: through it all inputs of the device are read, so that it goes only where all of
 * them are, and to one seat alone. Undefined when no rule asks for it. Pure.
 */
export function placementOf(inputs: readonly HidInput[]): Placement | undefined {
  const claims = inputs.flatMap(({ verdict }) => (verdict?.kind === 'seat' ? verdict.claims : []));
  const claim = claims.find(({ rule }) => rule.hidraw);
  if (claim === undefined) {
    const isDoubtful = inputs.some(({ verdict }) => verdict?.kind === 'seat' && verdict.doubt?.hidraw === true);
    return isDoubtful ? { kind: 'withheld', reason: unreadReason } : undefined;
  }
  const alone = inputs.every(
    ({ verdict }) => verdict?.kind === 'seat' && verdict.claims.length === 1 && verdict.claims[0]?.seat === claim.seat,
  );
  if (alone) return { kind: 'seat', claim };
  const whose = inputs.map(
    ({ name, verdict }) => `${name} ${verdict === undefined ? 'unknown' : ownerText(ownerOf(verdict))}`,
  );
  return { kind: 'withheld', reason: `its inputs are not all of one seat alone: ${whose.join(', ')}` };
}

/**
 * The seat of a raw node on the host, whether it comes along or not: a program that opens it reads the inputs of its
 * device, and so it has their seat. Pure.
 */
export function readerOf(inputs: readonly (HidInput & { readonly id: string })[]): Verdict {
  const claims = new Map<string, Claim>();
  for (const { id, verdict } of inputs) {
    for (const claim of claimsOf(verdict)) if (!claims.has(claim.seat)) claims.set(claim.seat, { ...claim, along: id });
  }
  if (claims.size === 0) return { kind: 'host', trace: [] };
  return { kind: claims.size === 1 ? 'seat' : 'conflict', claims: [...claims.values()], trace: [] };
}

/**
 * Places the raw node of a HID device that has no input, such as a security key: where a rule with `hidraw: true` asks
 * for it by its port or its kind. `verdict` is by such rules alone. Undefined when no rule does. Pure.
 */
export function placementAlone(verdict: Verdict): Placement | undefined {
  if (verdict.kind === 'host') return undefined;
  if (verdict.kind === 'unread') return { kind: 'withheld', reason: unreadReason };
  const [claim, ...others] = verdict.claims;
  if (claim !== undefined && others.length === 0) return { kind: 'seat', claim };
  return {
    kind: 'withheld',
    reason: `more than one seat asks for it: ${verdict.claims.map(({ seat }) => seat).join(', ')}`,
  };
}

/** A policy of which only the rules are left that ask for raw nodes. */
export const rawPolicy = (policy: Policy): Policy => ({
  ...policy,
  seats: policy.seats.map((seat) => ({ ...seat, rules: seat.rules.filter(({ hidraw }) => hidraw) })),
  loans: [],
});
