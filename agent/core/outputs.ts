import type { Unit } from './device.js';
import { glob } from './glob.js';
import type { Rule } from './policy.js';
import type { Claim, Contest, OutputClaim, Verdict } from './verdict.js';

/** Whether a rule asks for an output of this name. */
export const asksFor = ({ connectors = [] }: Rule, connector: string): boolean =>
  connectors.some((pattern) => glob(pattern, connector));

/**
 * A seat's claim on a card by its first rule that matches: the whole of it, or the outputs that this rule and the seat's later
 * ones name. A rule of the other sort that comes later counts for nothing. `matching`: the rules that match, in order.
 */
export function claimOn(seat: string, matching: readonly Rule[], { connectors = [] }: Unit): Claim | undefined {
  const [rule] = matching;
  if (rule === undefined) return undefined;
  if (rule.connectors === undefined) return { seat, rule };
  const outputs = connectors.flatMap((connector): OutputClaim[] => {
    const asking = matching.find((other) => asksFor(other, connector));
    return asking === undefined ? [] : [{ connector, rule: asking }];
  });
  return { seat, rule, outputs };
}

/** Outputs that two seats want go to neither; each keeps the others that it wants. */
export function contest(claims: readonly Claim[]): {
  readonly claims: readonly Claim[];
  readonly contested: readonly Contest[];
} {
  const wanted = new Map<string, Claim[]>();
  for (const { seat, outputs = [] } of claims) {
    for (const { connector, rule } of outputs) {
      wanted.set(connector, [...(wanted.get(connector) ?? []), { seat, rule }]);
    }
  }
  const contested = [...wanted].flatMap(([connector, both]) => (both.length > 1 ? [{ connector, claims: both }] : []));
  if (contested.length === 0) return { claims, contested };
  const isFree = ({ connector }: OutputClaim) => wanted.get(connector)?.length === 1;
  return {
    claims: claims.map((claim) => ({ ...claim, outputs: (claim.outputs ?? []).filter(isFree) })),
    contested,
  };
}

/** Whether seats have outputs of a card, and none of them the card. */
export const isSplit = (verdict: Verdict | undefined): boolean =>
  verdict?.kind === 'seat' && verdict.claims.some(({ outputs }) => outputs !== undefined);

/**
 * Which seats hear of something that happened at a card: those of the outputs at which a monitor came or went. Where none
 * did, it is something else, such as a monitor of another size, and all of them look.
 */
export const hearing = ({ claims }: { readonly claims: readonly Claim[] }, changed: readonly string[]): string[] =>
  claims.flatMap(({ seat, outputs = [] }) =>
    changed.length === 0 || outputs.some(({ connector }) => changed.includes(connector)) ? [seat] : [],
  );

/** Whose an output is: a seat's; undefined for nobody's, which stays dark while the card is split. */
export const outputOwner = (verdict: Verdict | undefined, connector: string): 'conflict' | readonly string[] => {
  if (verdict?.kind !== 'seat') return [];
  if (verdict.contested?.some((one) => one.connector === connector)) return 'conflict';
  return verdict.claims.flatMap(({ seat, outputs = [] }) =>
    outputs.some((one) => one.connector === connector) ? [seat] : [],
  );
};
