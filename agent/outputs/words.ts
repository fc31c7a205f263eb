import { lineOf } from '../core/policy.js';
import type { HolderState } from '../holder/messages.js';
import type { SplitCard } from '../seat/controller.js';

/** How a seat stands with its outputs of one card. */
export interface CardOutputs {
  /** `/dev/dri/card1`. */
  readonly card: string;
  /** The outputs of that card that are for the seat. */
  readonly outputs: readonly {
    /** The name of the connector: `DP-1`. */
    readonly connector: string;
    /** File and line of the rule that gives it: `left.yaml:4`. */
    readonly rule: string;
  }[];
  /** `waiting`: no display server has asked for them yet; `restart`: a display server runs on without them. */
  readonly state: 'leased' | 'waiting' | 'restart' | 'blocked';
  /** The outputs on which its display server draws now. */
  readonly leased: readonly string[];
  /** Since when its display server has had them, as a time of ISO 8601; absent while it has none. */
  readonly since?: string | undefined;
  /** The fault and the remedy; absent while there is none. */
  readonly problem?: string | undefined;
  /** Seats that have other outputs of the card. */
  readonly sharedWith: readonly string[];
  /**
   * Why the kernel does not keep their programs from reading and changing this seat's pictures; absent where it does. Also
   * then such a seat can show them on its own output.
   */
  readonly unguarded?: string | undefined;
}

/** For each shared card, the outputs of a seat, and the reasons for missing ones. Pure. */
export function outputsOf(
  seat: string,
  cards: readonly SplitCard[],
  holder: HolderState | undefined,
  unreachable: string | undefined,
): CardOutputs[] {
  const lost = holder?.revoked.filter((one) => one.seat === seat).map(({ node }) => node) ?? [];
  const known = cards.flatMap(({ unit, claims, isFree }): CardOutputs[] => {
    const claim = claims.find((one) => one.seat === seat);
    if (claim?.outputs === undefined) return [];
    const node = unit.head.node ?? unit.id;
    const card = holder?.cards.find((one) => one.node === node);
    const lease = card?.seats.find((one) => one.seat === seat);
    const leased = lease?.leased ?? [];
    const base = {
      card: node,
      outputs: claim.outputs.map(({ connector, rule }) => ({ connector, rule: lineOf(rule.place) })),
      leased,
      since: lease?.since,
      sharedWith: claims.flatMap((one) => (one.seat === seat ? [] : [one.seat])),
      unguarded: card?.unguarded,
    };
    const missing = claim.outputs.map(({ connector }) => connector).filter((name) => !leased.includes(name));
    const blocked = !isFree
      ? `${node} is still in a seat as a whole`
      : (unreachable ?? card?.problem ?? (card === undefined ? 'the holder has not answered yet' : undefined));
    // A card that does not answer: the picture stays on.
    const isOn = isFree && unreachable === undefined && leased.length > 0;
    if (blocked !== undefined) return [{ ...base, state: isOn ? 'leased' : 'blocked', problem: blocked }];
    if (lost.includes(node)) return [{ ...base, state: 'restart', problem: restart }];
    if (leased.length === 0) return [{ ...base, state: 'waiting', problem: lease?.problem }];
    if (missing.length > 0 && lease?.problem === undefined) {
      return [{ ...base, state: 'leased', problem: `start its display server again to get ${missing.join(' and ')}` }];
    }
    return [{ ...base, state: 'leased', problem: lease?.problem }];
  });
  const kept = (holder?.cards ?? []).flatMap(({ node, seats, problem }): CardOutputs[] => {
    const lease = seats.find((one) => one.seat === seat && one.leased.length > 0);
    if (lease === undefined || known.some(({ card }) => card === node)) return [];
    const { leased, since } = lease;
    const why = `its outputs are not taken back yet${problem === undefined ? '' : `: ${problem}`}`;
    return [{ card: node, outputs: [], state: 'blocked', leased, since, problem: why, sharedWith: [] }];
  });
  const gone = lost.filter((node) => !known.some(({ card }) => card === node));
  return [
    ...known,
    ...kept,
    ...gone.map(
      (card): CardOutputs => ({
        ...{ card, outputs: [], state: 'restart', leased: [], sharedWith: [], problem: restart },
      }),
    ),
  ];
}

const restart = 'its display server lost its outputs and runs on without them: start it again, or end it';
