import { join } from 'node:path';
import { type DeviceNumber, numberText, parseNumber } from '../core/device.js';
import type { Container } from '../engines/engine.js';
import { isWithin } from '../kernel/cgroup.js';
import { type Holder, patient } from '../kernel/holders.js';
import { namesIn, readOptional } from '../kernel/read.js';
import type { Reclaim } from '../kernel/reclaim.js';
import { connectorsAmong } from '../udev/connectors.js';
import type { CardFacts } from './facts.js';

/** A graphics card of a seat, as the kernel shows it. */
export interface Card extends Omit<CardFacts, 'openedBy'> {
  readonly number: DeviceNumber;
}

/** The graphics cards in a seat's directory, and their outputs. `classes`: where the kernel lists its classes of devices. */
export function cardsOf(seatPath: string, classes = '/sys/class'): Card[] {
  const drm = join(classes, 'drm');
  return namesIn(join(seatPath, 'dev/dri'))
    .filter((name) => /^card\d+$/.test(name))
    .sort()
    .flatMap((card): Card[] => {
      const number = parseNumber((readOptional(join(drm, card, 'dev')) ?? '').trim());
      return number === undefined ? [] : [{ card, number, outputs: outputsOf(drm, card) }];
    });
}

const outputsOf = (drm: string, card: string): CardFacts['outputs'] =>
  connectorsAmong(namesIn(drm), card).map((name) => {
    const file = (one: string): string => (readOptional(join(drm, `${card}-${name}`, one)) ?? '').trim();
    return { name, isConnected: file('status') === 'connected', isLit: file('enabled') === 'enabled' };
  });

/** The cards of a seat, with the programs of its container that have each open. */
export const openedCards = (
  cards: readonly Card[],
  holders: readonly Holder[],
  { cgroup }: Pick<Container, 'cgroup'>,
): CardFacts[] =>
  cards.map(({ card, number, outputs }) => {
    const its = holders.filter(
      (holder) => numberText(holder.number) === numberText(number) && isWithin(holder.cgroup, cgroup),
    );
    return { card, outputs, openedBy: [...new Set(its.map(({ command, pid }) => `${command} (pid ${pid})`))] };
  });

/** All processes that have one of these cards open. */
export async function holdersOf(reclaim: Reclaim, cards: readonly Card[]): Promise<readonly Holder[]> {
  if (cards.length === 0) return [];
  const nodes = cards.map(({ number }) => ({ number, by: undefined }));
  return (await reclaim.search({ nodes, limits: patient, cgroup: undefined, keepers: [] })).holders;
}
