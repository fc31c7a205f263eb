import { matchCrtcs } from './matching.js';

/** Outputs of one card that a seat must have. */
export interface SeatOutputs {
  readonly seat: string;
  /** Names of connectors. */
  readonly connectors: readonly string[];
}

/** A connector of a card, as its driver tells it: object ids. */
export interface CardConnector {
  readonly id: number;
  readonly name: string;
  /** CRTCs that can drive it. */
  readonly crtcs: readonly number[];
}

/** An output that is leased, with its CRTC and planes. */
export interface LeasedOutput {
  readonly connector: string;
  readonly crtc: number;
}

/** The objects of a lease. */
export interface LeaseObjects {
  readonly outputs: readonly LeasedOutput[];
  readonly connectors: readonly number[];
  /** Outputs that the seat must have and does not get, and why. */
  readonly missing: readonly string[];
}

/**
 * Whether a lease may stay: every output of it still is its seat's. It stays while the seat gets more of them, because a lease
 * cannot be changed; the next start of its display server has them all.
 */
export const mayStay = (seat: string, outputs: readonly LeasedOutput[], wanted: readonly SeatOutputs[]): boolean => {
  const now = wanted.find((one) => one.seat === seat)?.connectors ?? [];
  return outputs.every(({ connector }) => now.includes(connector));
};

/**
 * The objects to lease to one seat of a card. CRTCs are chosen for all seats of the card together, so that no seat
 * takes the only CRTC for another seat's output; `leased`: the leases of other seats, which stay as they are. Pure.
 */
export function leaseFor(
  seat: string,
  wanted: readonly SeatOutputs[],
  card: readonly CardConnector[],
  leased: readonly LeasedOutput[],
): LeaseObjects {
  const names = wanted.find((one) => one.seat === seat)?.connectors ?? [];
  const known = new Map(card.map((one) => [one.name, one]));
  // The asking seat comes last: it gets the objects that leave most to the others.
  const order = [...wanted.filter((one) => one.seat !== seat), { seat, connectors: names }];
  const outputs = order.flatMap(({ connectors }) =>
    connectors.flatMap((connector) => {
      const one = known.get(connector);
      return one === undefined ? [] : [{ connector, crtcs: one.crtcs }];
    }),
  );
  const fixed = new Map(leased.map(({ connector, crtc }) => [connector, crtc]));
  const chosen = matchCrtcs(outputs, fixed);
  const found = names.flatMap((connector) => {
    const [one, crtc] = [known.get(connector), chosen.get(connector)];
    return one === undefined || crtc === undefined ? [] : [{ connector, crtc, id: one.id }];
  });
  const missing = names
    .filter((name) => !found.some(({ connector }) => connector === name))
    .map((name) => (known.has(name) ? `no CRTC is left for ${name}` : `the card has no connector ${name}`));
  return {
    outputs: found.map(({ connector, crtc }) => ({ connector, crtc })),
    connectors: found.map(({ id }) => id),
    missing,
  };
}
