import type { CardOutputs } from '../outputs/words.js';
import type { ServiceFacts, UnitFacts } from './facts.js';
import { about, type Finding } from './finding.js';

const outputs = about('outputs');

/** Seats that have outputs of shared graphics cards, as the agent says. */
export const seatsWithOutputs = ({ agent }: ServiceFacts): ReadonlySet<string> =>
  new Set(
    'silent' in agent
      ? []
      : agent.status.seats.flatMap(({ seat, outputs: cards = [] }) => (cards.length > 0 ? [seat] : [])),
  );

/** Whether seats that share a graphics card have their outputs, and what they can do to each other. */
export function checkOutputs({ agent, holder }: ServiceFacts): Finding[] {
  if ('silent' in agent) return [];
  const seats = agent.status.seats.flatMap(({ seat, outputs: cards = [] }) => cards.map((card) => ({ seat, card })));
  if (seats.length === 0) return [];
  const shared = new Map<string, { readonly seats: ReadonlySet<string>; readonly unguarded: string | undefined }>();
  for (const { seat, card } of seats) {
    if (card.sharedWith.length === 0) continue;
    const names = new Set([...(shared.get(card.card)?.seats ?? []), seat, ...card.sharedWith]);
    shared.set(card.card, { seats: names, unguarded: card.unguarded });
  }
  return [
    ...(holder === undefined ? [] : [holderFinding(holder)]),
    ...seats.map(({ seat, card }) => seatFinding(seat, card)),
    ...[...shared].map(([card, { seats: names, unguarded }]) => sharedFinding(card, [...names].sort(), unguarded)),
  ];
}

/** Never well: no kernel and no filter keeps a framebuffer from being shown at another output (drm_mode_setcrtc looks up any id). */
function sharedFinding(card: string, seats: readonly string[], unguarded: string | undefined): Finding {
  const who = `${seats.join(' and ')} share ${card}`;
  const trust = 'they trust each other more than seats with a card each';
  if (unguarded === undefined) {
    return outputs.warning(
      `${who}: programs of each can show the others' pictures on their own outputs, and cannot read or change them: ${trust}`,
      'give them cards of their own where that is too much: docs/howto/one-card-two-seats.md says why it stays',
    );
  }
  return outputs.warning(
    `${who}: programs of each can see and change what the others show, because ${unguarded}: ${trust}`,
    'use a kernel with BTF, have the engine forbid it as this page says: docs/howto/one-card-two-seats.md, or give them cards of their own',
  );
}

function holderFinding({ load, active, restarts }: UnitFacts): Finding {
  if (load === 'not-found') {
    return outputs.problem('hotseat-holder.service is not installed', 'install the package again');
  }
  if (active !== 'active') {
    return outputs.problem(`hotseat-holder.service is ${active}`, 'systemctl start hotseat-holder.socket');
  }
  if (restarts > 0) {
    const remedy = 'journalctl -u hotseat-holder says why';
    return outputs.warning(
      `hotseat-holder.service was started again ${restarts} times: each ended all pictures`,
      remedy,
    );
  }
  return outputs.ok('hotseat-holder.service runs');
}

function seatFinding(seat: string, { card, state, leased, problem }: CardOutputs): Finding {
  const one = about(`seat ${seat}`);
  if (problem !== undefined) {
    return one.problem(`outputs of ${card}: ${problem}`, 'hotseat status says more; journalctl -u hotseat-holder too');
  }
  if (state === 'waiting') {
    const remedy = 'start it as this page says: docs/howto/one-card-two-seats.md';
    return one.warning(`no display server has asked for its outputs of ${card}`, remedy);
  }
  return one.ok(`${leased.join(' and ')} of ${card} is leased to its display server`);
}
