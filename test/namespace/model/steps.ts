import fc from 'fast-check';
import { type Kind, kinds } from './pc.js';
import { type Process, veils } from './processes.js';
import { type Port, ports, type Seat, seats, type Wish } from './wishes.js';
import type { World } from './world.js';

/** Names that containers have; the first two are the seats' to begin with, the last one is run by a user. */
export const names = ['left', 'right', 'spare', 'hers'] as const;
export type Name = (typeof names)[number];

/** Processes outside of all containers. */
const strangers = ['session', 'guest', 'service'] as const;
type Who = (typeof strangers)[number];

/** Events of the world, with or without an agent. */
type Outsides =
  | { readonly do: 'plug'; readonly port: Port; readonly kind: Kind; readonly told: boolean }
  | { readonly do: 'unplug'; readonly port: Port; readonly told: boolean }
  | {
      readonly do: 'start';
      readonly name: Name;
      readonly eager: boolean;
      readonly configured: boolean;
      readonly told: boolean;
    }
  | { readonly do: 'ready'; readonly name: Name; readonly told: boolean }
  | { readonly do: 'stop'; readonly name: Name; readonly told: boolean }
  | { readonly do: 'rename'; readonly from: Name; readonly to: Name; readonly told: boolean }
  | { readonly do: 'lose-init'; readonly name: Name; readonly told: boolean }
  | { readonly do: 'end-lingering'; readonly name: Name }
  | { readonly do: 'open'; readonly name: Name }
  | { readonly do: 'send'; readonly name: Name }
  | { readonly do: 'smuggle' }
  | { readonly do: 'hand'; readonly name: Name; readonly who: Who }
  | { readonly do: 'receive'; readonly who: Who }
  | { readonly do: 'let-go'; readonly who: Who }
  | { readonly do: 'veil'; readonly who: Name | Who; readonly veil: Process['veil'] }
  | { readonly do: 'busy'; readonly who: Name | Who; readonly isBusy: boolean }
  | { readonly do: 'stall'; readonly stalls: World['stalls'] }
  | { readonly do: 'blur'; readonly name: Name; readonly told: boolean }
  | { readonly do: 'clear'; readonly name: Name; readonly told: boolean }
  | { readonly do: 'trespass' }
  | { readonly do: 'close'; readonly name: Name }
  | { readonly do: 'lose'; readonly count: number }
  | { readonly do: 'crash'; readonly downFor: number };

/** Events for an agent, and its own actions. */
type Insides =
  | { readonly do: 'hear'; readonly count: number }
  | { readonly do: 'overrun' }
  | { readonly do: 'see' }
  | { readonly do: 'look' }
  | { readonly do: 'want'; readonly port: Port; readonly wish: Wish }
  | { readonly do: 'attach'; readonly port: Port; readonly seat: Seat }
  | { readonly do: 'detach'; readonly port: Port }
  | { readonly do: 'assign'; readonly left: Name; readonly right: Name };

export type What = Outsides | Insides;

/**
 * One thing that happens. `amid`: in the middle of the agent's work, after so many of the possible moments; 0: when the
 * agent has come to rest.
 */
export interface Step {
  readonly what: What;
  readonly amid: number;
}

const insides: ReadonlySet<What['do']> = new Set([
  'hear',
  'overrun',
  'see',
  'look',
  'want',
  'attach',
  'detach',
  'assign',
]);

/** Whether the agent has to be listening for it, so that it cannot be between two of its effects. */
export const isInside = ({ what }: Step): boolean => insides.has(what.do);

const port = fc.constantFrom(...ports);
const name = fc.constantFrom(...names);
const seat = fc.constantFrom(...seats);
const who = fc.constantFrom(...strangers);
const anyone = fc.constantFrom(...names, ...strangers);
const told = fc.boolean();
const kind = fc.constantFrom(...kinds);
const wish: fc.Arbitrary<Wish> = fc.record({
  seats: fc.subarray([...seats]),
  mice: fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.subarray([...seats]) }),
  share: fc.boolean(),
  hidraw: fc.boolean(),
});
/** Each seat one of its own, as a policy has it. */
const containers = fc.shuffledSubarray([...names], { minLength: 2, maxLength: 2 });
const few = fc.integer({ min: 1, max: 4 });

const stall = fc.constantFrom<World['stalls'][number]>('undone', 'done');

const is = <T extends string>(what: T): fc.Arbitrary<T> => fc.constant(what);

const what: fc.Arbitrary<What> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: is('plug'), port, kind, told }) },
  { weight: 5, arbitrary: fc.record({ do: is('unplug'), port, told }) },
  { weight: 4, arbitrary: fc.record({ do: is('start'), name, eager: fc.boolean(), configured: fc.boolean(), told }) },
  { weight: 3, arbitrary: fc.record({ do: is('ready'), name, told }) },
  { weight: 3, arbitrary: fc.record({ do: is('stop'), name, told }) },
  { weight: 2, arbitrary: fc.record({ do: is('rename'), from: name, to: name, told }) },
  { weight: 2, arbitrary: fc.record({ do: is('lose-init'), name, told }) },
  { weight: 1, arbitrary: fc.record({ do: is('end-lingering'), name }) },
  { weight: 5, arbitrary: fc.record({ do: is('open'), name }) },
  { weight: 2, arbitrary: fc.record({ do: is('send'), name }) },
  { weight: 2, arbitrary: fc.record({ do: is('smuggle') }) },
  { weight: 3, arbitrary: fc.record({ do: is('hand'), name, who }) },
  { weight: 1, arbitrary: fc.record({ do: is('receive'), who }) },
  { weight: 1, arbitrary: fc.record({ do: is('let-go'), who }) },
  { weight: 3, arbitrary: fc.record({ do: is('veil'), who: anyone, veil: fc.constantFrom(undefined, ...veils) }) },
  { weight: 2, arbitrary: fc.record({ do: is('busy'), who: anyone, isBusy: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: is('stall'), stalls: fc.array(stall, { minLength: 1, maxLength: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ do: is('blur'), name, told }) },
  { weight: 1, arbitrary: fc.record({ do: is('clear'), name, told }) },
  { weight: 2, arbitrary: fc.record({ do: is('trespass') }) },
  { weight: 2, arbitrary: fc.record({ do: is('close'), name }) },
  { weight: 1, arbitrary: fc.record({ do: is('lose'), count: few }) },
  { weight: 3, arbitrary: fc.record({ do: is('crash'), downFor: fc.integer({ min: 0, max: 3 }) }) },
  { weight: 4, arbitrary: fc.record({ do: is('hear'), count: few }) },
  { weight: 1, arbitrary: fc.record({ do: is('overrun') }) },
  { weight: 2, arbitrary: fc.record({ do: is('see') }) },
  { weight: 2, arbitrary: fc.record({ do: is('look') }) },
  { weight: 10, arbitrary: fc.record({ do: is('want'), port, wish }) },
  { weight: 2, arbitrary: fc.record({ do: is('attach'), port, seat }) },
  { weight: 1, arbitrary: fc.record({ do: is('detach'), port }) },
  {
    weight: 2,
    arbitrary: containers.map(
      ([left, right]): What => ({ do: 'assign', left: left ?? 'left', right: right ?? 'right' }),
    ),
  },
);

const amid = fc.oneof(
  { weight: 3, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 60 }) },
);

/** Histories of so many steps at most. */
export const histories = (maxLength: number): fc.Arbitrary<Step[]> =>
  fc.array(fc.record({ what, amid }), { maxLength, size: 'max' });

/** Messages are lost, or a group goes in which no container is any more: its guard, which nobody is held by, goes at the next look. */
const isUntold = (what: What): boolean => what.do === 'lose' || what.do === 'end-lingering';

/** Whether the agent is told of a step, and loses nothing by it. */
export const isHeard = ({ what }: Step): boolean => !isUntold(what) && (!('told' in what) || what.told);

/** A history without events that nobody tells of. */
export const heard = (steps: readonly Step[]): Step[] =>
  steps.flatMap((step) => {
    if (isUntold(step.what)) return [];
    return 'told' in step.what ? [{ ...step, what: { ...step.what, told: true } }] : [step];
  });

/** One step in words. */
export function wordsOf({ what, amid }: Step): string {
  const { do: verb, ...rest } = what;
  const facts = Object.entries(rest).map(
    ([key, value]) => `${key} ${typeof value === 'object' ? JSON.stringify(value) : value}`,
  );
  return [`${verb}${amid > 0 ? ` (amid ${amid})` : ''}`, ...facts].join(', ');
}
