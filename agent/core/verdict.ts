import type { Rule } from './policy.js';

/** A rule of a seat that wants a unit. */
export interface Claim {
  readonly seat: string;
  readonly rule: Rule;
  /** It does not match the rule, and comes along with the unit of this id, which does and is the same physical device. */
  readonly along?: string;
}

/** One rule held against one unit: it matched, or the first condition that failed, in words. */
export interface TraceLine {
  readonly seat: string;
  readonly rule: Rule;
  readonly failed: string | undefined;
}

/**
 * Policy times device. `seats` has one claim, or several where every rule says `share`;
 * `host` means nobody asked; `conflict` means two seats did, and neither gets it.
 */
export type Verdict =
  | { readonly kind: 'seat'; readonly claims: readonly Claim[]; readonly trace: readonly TraceLine[] }
  | { readonly kind: 'host'; readonly trace: readonly TraceLine[] }
  | { readonly kind: 'conflict'; readonly claims: readonly Claim[]; readonly trace: readonly TraceLine[] };

/** Whether two verdicts give the same to the same seats by the very same rules. */
export const isSameVerdict = (a: Verdict | undefined, b: Verdict | undefined): boolean =>
  a?.kind === b?.kind && isSameClaims(claimsOf(a), claimsOf(b));

const claimsOf = (verdict: Verdict | undefined): readonly Claim[] =>
  verdict === undefined || verdict.kind === 'host' ? [] : verdict.claims;

const isSameClaims = (some: readonly Claim[], others: readonly Claim[]): boolean =>
  some.length === others.length &&
  some.every((a, at) => {
    const b = others[at];
    return a.seat === b?.seat && a.rule === b.rule && a.along === b.along;
  });
