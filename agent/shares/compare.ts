import { type ContainerRef, resourceNames } from '../core/policy.js';
import { type Amounts, amountText } from '../core/shares.js';
import { commonSlice } from '../engines/dialect.js';
import { arenaOf, intoSlice, placeKey, type SharePlace } from './place.js';

/** A seat whose container runs, with its place and its amounts. */
export interface PlacedSeat {
  readonly seat: string;
  readonly container: ContainerRef;
  readonly place: SharePlace;
  readonly amounts: Amounts;
}

/** Why the weights of two seats say nothing about each other; undefined when they do. */
export function incomparable(one: PlacedSeat, other: PlacedSeat): string | undefined {
  if (placeKey(one.place) === placeKey(other.place)) return `they share ${one.place.group} with all its amounts`;
  const [here, there] = [arenaOf(one.place), arenaOf(other.place)];
  if (here === there) return undefined;
  // Weights divide what their parent gets among its children, and nothing else (cgroup-v2.rst, weights).
  return `those of ${one.seat} divide what ${here} gets, those of ${other.seat} what ${there} gets`;
}

/** The remedy, in words. */
export const comparableBy = (one: PlacedSeat, other: PlacedSeat): string => {
  const told = [one, other].flatMap(({ seat, container, place }) => {
    if (arenaOf(place) === commonSlice && place.group.endsWith('.slice')) return [];
    return [`${seat}: ${intoSlice(seat, container) ?? stays(container)}`];
  });
  return `have their engines start them below ${commonSlice}. ${told.join('. ')}`;
};

/** Why nothing helps there. */
const stays = ({ engine, user }: ContainerRef): string =>
  user === undefined
    ? `${engine} has no setting for it, and its seats are even among themselves`
    : `${user}'s containers cannot go there: run it as root's`;

/** `cpu 200 to 100, io 100 to 100`: how two seats divide what both want. */
export const ratioText = (one: PlacedSeat, other: PlacedSeat): string =>
  resourceNames
    .flatMap((name) => {
      const [a, b] = [one.amounts[name], other.amounts[name]];
      const isWeight = name === 'cpu' || name === 'io';
      return isWeight && a !== undefined && b !== undefined ? [`${name} ${a} to ${b}`] : [];
    })
    .join(', ');

/** One seat's shares, explained. */
export interface ShareExplanation {
  /** The name of the seat. */
  readonly seat: string;
  /** Its amount of each resource, and why. */
  readonly resources: readonly {
    /** The resource and the amount, in words. */
    readonly text: string;
    /** Where the amount comes from, in words. */
    readonly origin: string;
  }[];
  /** How the amounts are set. */
  readonly means: string;
  /** Their worth beside the other seats, in words. */
  readonly beside: readonly string[];
  /** Why something is not as the seat file asks for. */
  readonly problem: string | undefined;
}

/** The origin of each amount, who has set it, and its worth beside the others. */
export function explainShares(
  one: PlacedSeat,
  others: readonly PlacedSeat[],
  origin: (name: (typeof resourceNames)[number]) => string,
  facts: { readonly means: string; readonly problem: string | undefined },
): ShareExplanation {
  return {
    seat: one.seat,
    resources: resourceNames.map((name) => {
      const amount = one.amounts[name];
      const text = amount === undefined ? 'not divided here' : amountText(name, amount);
      return { text: `${name} ${text}`, origin: origin(name) };
    }),
    ...facts,
    beside: others.map((other) => {
      const why = incomparable(one, other);
      return why === undefined
        ? `beside ${other.seat}: ${ratioText(one, other)}`
        : `not comparable with ${other.seat}: ${why}`;
    }),
  };
}
