import type { Subsystem } from '../../../agent/core/device.js';
import type { Policy } from '../../../agent/core/policy.js';
import { compose } from '../../../agent/policy/load.js';
import { user } from './containers.js';
import { type Kind, type Plugged, pathOf } from './pc.js';

export const seats = ['left', 'right'] as const;
export type Seat = (typeof seats)[number];

export const ports = [1, 2, 3] as const;
export type Port = (typeof ports)[number];

/** The wishes of the seats for one port. */
export interface Wish {
  readonly seats: readonly Seat[];
  readonly share: boolean;
}

/** A policy, by the model's own reckoning. */
export interface Wishes {
  readonly seats: readonly Seat[];
  readonly ports: Readonly<Record<Port, Wish>>;
  /** Names of the seats' containers. */
  readonly containers: Readonly<Record<Seat, string>>;
  /** Devices that were given by hand, the newest first. */
  readonly loans: readonly { readonly port: Port; readonly subsystem: Subsystem; readonly seat: Seat }[];
}

/** The beginning of every history: a port for each seat, and a port that they share. */
export const first: Wishes = {
  seats,
  ports: {
    1: { seats: ['left'], share: false },
    2: { seats: ['right'], share: false },
    3: { seats: ['left', 'right'], share: true },
  },
  containers: { left: 'left', right: 'right' },
  loans: [],
};

const subsystems: Readonly<Record<Kind, Subsystem>> = {
  keyboard: 'input',
  mouse: 'input',
  sound: 'sound',
  card: 'drm',
};

export const subsystemOf = (kind: Kind): Subsystem => subsystems[kind];

const loanOf = ({ loans }: Wishes, { port, kind }: Plugged) =>
  loans.find((one) => one.port === port && one.subsystem === subsystemOf(kind));

/** Whether a seat's rule for a thing lets others have it too: also a seat that is just losing it. */
export const isShareable = (wishes: Wishes, plugged: Plugged): boolean =>
  loanOf(wishes, plugged) === undefined && wishes.ports[plugged.port as Port].share;

/** Whose a thing must be: of several seats only when every one of them shares it. */
export function ownersOf(wishes: Wishes, plugged: Plugged): readonly Seat[] {
  const { port } = plugged;
  const loan = loanOf(wishes, plugged);
  if (loan !== undefined && wishes.seats.includes(loan.seat)) return [loan.seat];
  const wish = wishes.ports[port as Port];
  const wanted = wish.seats.filter((seat) => wishes.seats.includes(seat));
  return wanted.length > 1 && !wish.share ? [] : wanted;
}

const known = new Map<string, Policy>();

/** The same as seat files, and the devices that are given by hand, read by the program. */
export function policyOf(wishes: Wishes): Policy {
  const texts = wishes.seats.map((seat) => {
    const wanted = ports.filter((port) => wishes.ports[port].seats.includes(seat));
    const devices = wanted.map((port) => ({
      label: `port ${port}`,
      match: { ID_PATH: pathOf(port) },
      ...(wishes.ports[port].share ? { share: true } : {}),
    }));
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
