import type { Rule } from './policy.js';

/** A rule of a seat that wants a unit. */
export interface Claim {
  readonly seat: string;
  readonly rule: Rule;
  /** It does not match the rule, and comes along with the unit of this id, which does and is the same physical device. */
  readonly along?: string;
  /** It wants outputs of the card, not the card: those that are there and that no other seat wants. */
  readonly outputs?: readonly OutputClaim[];
}

/** An output of a card, and the rule of the seat that asks for it. */
export interface OutputClaim {
  readonly connector: string;
  readonly rule: Rule;
}

/** An output that several seats want: none of them gets it. */
export interface Contest {
  readonly connector: string;
  readonly claims: readonly Claim[];
}

/** One rule held against one unit: it matched, or the first condition that failed, in words. */
export interface TraceLine {
  readonly seat: string;
  readonly rule: Rule;
  readonly failed: string | undefined;
}

/** It is at its seat by hand, and how may change when attributes have been read that some rule asks for. */
export interface Doubt {
  /** Paths of the devices that have these attributes. */
  readonly at: readonly string[];
  /** Whether its raw node may come along then. */
  readonly hidraw: boolean;
}

/**
 * Policy times device. `seat` has one claim, or several where every rule says `share` or where each wants outputs of
 * the card; `host`: nobody asked. `conflict`: two seats did, and neither gets it. `unread`: it depends on attributes that could
 * not be read yet, and nobody gets it.
 */
export type Verdict =
  | {
      readonly kind: 'seat';
      readonly claims: readonly Claim[];
      readonly trace: readonly TraceLine[];
      /** Outputs of the card that two of these seats want. */
      readonly contested?: readonly Contest[];
      readonly doubt?: Doubt;
    }
  | { readonly kind: 'host'; readonly trace: readonly TraceLine[] }
  | {
      readonly kind: 'unread';
      /** Paths of the devices that have these attributes. */
      readonly at: readonly string[];
      readonly trace: readonly TraceLine[];
    }
  | { readonly kind: 'conflict'; readonly claims: readonly Claim[]; readonly trace: readonly TraceLine[] };

/** Whether two verdicts give the same to the same seats by the very same rules. */
export const isSameVerdict = (a: Verdict | undefined, b: Verdict | undefined): boolean =>
  a?.kind === b?.kind && isSameClaims(claimsOf(a), claimsOf(b)) && isSameContests(contestsOf(a), contestsOf(b));

/** Outputs that two seats want. */
export const contestsOf = (verdict: Verdict | undefined): readonly Contest[] =>
  verdict?.kind === 'seat' ? (verdict.contested ?? []) : [];

/** Paths of the devices of which attributes must be read before a verdict is the last one. */
export function unreadAt(verdict: Verdict): readonly string[] {
  if (verdict.kind === 'unread') return verdict.at;
  return verdict.kind === 'seat' ? (verdict.doubt?.at ?? []) : [];
}

/** The claims of all seats that want it, whether they get it or not. */
export function claimsOf(verdict: Verdict | undefined): readonly Claim[] {
  switch (verdict?.kind) {
    case 'seat':
    case 'conflict':
      return verdict.claims;
    case 'host':
    case 'unread':
    case undefined:
      return [];
  }
}

const isSameClaims = (some: readonly Claim[], others: readonly Claim[]): boolean =>
  same(
    some,
    others,
    (a, b) => a.seat === b.seat && a.rule === b.rule && a.along === b.along && isSameOutputs(a.outputs, b.outputs),
  );

const isSameOutputs = (
  some: readonly OutputClaim[] | undefined,
  others: readonly OutputClaim[] | undefined,
): boolean =>
  some === undefined || others === undefined
    ? some === others
    : same(some, others, (a, b) => a.connector === b.connector && a.rule === b.rule);

const isSameContests = (some: readonly Contest[], others: readonly Contest[]): boolean =>
  same(some, others, (a, b) => a.connector === b.connector && isSameClaims(a.claims, b.claims));

const same = <T>(some: readonly T[], others: readonly T[], isEqual: (a: T, b: T) => boolean): boolean =>
  some.length === others.length &&
  some.every((a, at) => {
    const b = others[at];
    return b !== undefined && isEqual(a, b);
  });
