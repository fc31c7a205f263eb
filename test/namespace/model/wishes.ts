import type { SeatSubsystem } from '../../../agent/core/device.js';
import type { Policy } from '../../../agent/core/policy.js';
import { compose } from '../../../agent/policy/load.js';
import { user } from './containers.js';
import { type Kind, type PcUnit, pathOf } from './pc.js';

export const seats = ['left', 'right'] as const;
export type Seat = (typeof seats)[number];

export const ports = [1, 2, 3] as const;
export type Port = (typeof ports)[number];

/** The wishes of the seats for one port. */
export interface Wish {
  readonly seats: readonly Seat[];
  /** Who wants the mice there, where these seats do not. */
  readonly mice: readonly Seat[] | undefined;
  readonly share: boolean;
  /** Whether they want raw nodes as well. */
  readonly hidraw: boolean;
}

/** A policy, by the model's own reckoning. */
export interface Wishes {
  readonly seats: readonly Seat[];
  readonly ports: Readonly<Record<Port, Wish>>;
  /** Names of the seats' containers. */
  readonly containers: Readonly<Record<Seat, string>>;
  /** Devices that were given by hand, the newest first. */
  readonly loans: readonly { readonly port: Port; readonly subsystem: SeatSubsystem; readonly seat: Seat }[];
}

/** The beginning of every history: a port for each seat, and a port that they share. */
export const first: Wishes = {
  seats,
  ports: {
    1: { seats: ['left'], mice: undefined, share: false, hidraw: true },
    2: { seats: ['right'], mice: undefined, share: false, hidraw: false },
    3: { seats: ['left', 'right'], mice: undefined, share: true, hidraw: true },
  },
  containers: { left: 'left', right: 'right' },
  loans: [],
};

const subsystems: Readonly<Record<Kind, SeatSubsystem>> = {
  keyboard: 'input',
  mouse: 'input',
  sound: 'sound',
  card: 'drm',
  pad: 'input',
  combo: 'input',
  receiver: 'input',
  key: 'hidraw',
};

export const subsystemOf = (kind: Kind): SeatSubsystem => subsystems[kind];

const loanOf = ({ loans }: Wishes, { port, subsystem }: PcUnit) =>
  loans.find((one) => one.port === port && one.subsystem === subsystem);

const wishFor = ({ ports }: Wishes, { port }: PcUnit): Wish => ports[port as Port];

/** Seats with a rule for a unit. */
function wantedBy(wishes: Wishes, unit: PcUnit): readonly Seat[] {
  const { seats, mice } = wishFor(wishes, unit);
  return (unit.isMouse ? (mice ?? seats) : seats).filter((seat) => wishes.seats.includes(seat));
}

/** Whether a seat's rule for a unit lets others have it too: also a seat that is just losing it. */
export const isShareable = (wishes: Wishes, unit: PcUnit): boolean =>
  unit.subsystem !== 'hidraw' && loanOf(wishes, unit) === undefined && wishFor(wishes, unit).share;

/** Whose a unit must be: of several seats only when every one of them shares it. */
export function ownersOf(wishes: Wishes, unit: PcUnit): readonly Seat[] {
  if (unit.subsystem === 'hidraw') return ownersOfRaw(wishes, unit);
  const loan = loanOf(wishes, unit);
  if (loan !== undefined && wishes.seats.includes(loan.seat)) return [loan.seat];
  const wanted = wantedBy(wishes, unit);
  return wanted.length > 1 && !wishFor(wishes, unit).share ? [] : wanted;
}

/** A raw node is one seat's: where all of its inputs are, and nowhere else; one without any, where one seat asks for it. */
function ownersOfRaw(wishes: Wishes, unit: PcUnit): readonly Seat[] {
  const { hidraw } = wishFor(wishes, unit);
  if (!hidraw) return [];
  const asking = (unit.reads.length > 0 ? unit.reads : [unit]).map((one) => wantedBy(wishes, one));
  if (unit.reads.length === 0) return asking[0]?.length === 1 ? asking[0] : [];
  const [owner, ...others] = new Set(unit.reads.flatMap((one) => ownersOf(wishes, one)));
  const isWhole = unit.reads.every((one) => ownersOf(wishes, one).length === 1);
  const isAsked = asking.some((seats) => seats.length > 0);
  return owner !== undefined && others.length === 0 && isWhole && isAsked ? [owner] : [];
}

const known = new Map<string, Policy>();

/** The same as seat files, and the devices that are given by hand, read by the program. */
export function policyOf(wishes: Wishes): Policy {
  const texts = wishes.seats.map((seat) => {
    const devices = ports.flatMap((port) => {
      const { seats, mice, share, hidraw } = wishes.ports[port];
      const rule = (more: object) => ({
        ...{ label: `port ${port}`, match: { ID_PATH: pathOf(port), ...more } },
        ...{ ...(share ? { share } : {}), ...(hidraw ? { hidraw } : {}) },
      });
      return [
        ...(seats.includes(seat) ? [rule(mice === undefined ? {} : { not: { ID_INPUT_MOUSE: '1' } })] : []),
        ...(mice?.includes(seat) === true ? [rule({ ID_INPUT_MOUSE: '1' })] : []),
      ];
    });
    const name = wishes.containers[seat];
    const container = { engine: 'lxc', name, ...(name === 'hers' ? { user } : {}) };
    return { name: `${seat}.yaml`, text: JSON.stringify({ seat, container, devices }) };
  });
  const key = JSON.stringify(texts);
  const policy = known.get(key) ?? read(texts);
  known.set(key, policy);
  const thing = { serial: '', sysname: undefined, name: undefined, uniq: undefined, phys: undefined };
  const loans = wishes.loans.map(({ port, subsystem, seat }) => ({
    ...{ seat, name: `port ${port}`, until: undefined, by: 0 },
    thing: { ...thing, subsystem, path: pathOf(port) },
  }));
  return { ...policy, loans };
}

function read(texts: readonly { readonly name: string; readonly text: string }[]): Policy {
  const loaded = compose(texts, 'unversioned', 'model');
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.diagnostics));
  return loaded.policy;
}
