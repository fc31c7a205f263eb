import type { SeatOutputs } from '../core/leases.js';
import type { Identified, WantedName } from './identify-messages.js';

/** Where the holder listens to the agent; root's alone. */
export const holderSocket = '/run/hotseat-holder.sock';

/** A card of which the holder must be master. */
export interface WantedCard {
  /** `/dev/dri/card1`. */
  readonly node: string;
  /** `226:1`. */
  readonly number: string;
  /** Which plugging of the card: the same node may be another card's by now. */
  readonly incarnation: string;
  readonly seats: readonly SeatOutputs[];
}

/** Where a seat's display server asks for its lease. */
export interface WantedSocket {
  readonly seat: string;
  /** Where it is made; the agent takes it from there to where the seat sees it. */
  readonly path: string;
  /** Inode of the socket that the seat sees. The holder makes another one where it does not listen at that. */
  readonly shown: string | undefined;
  /** The group of its container; nobody is let in while there is none. */
  readonly cgroup: string | undefined;
}

/** All that the holder must hold and serve, a line of JSON. Everything else goes. */
export interface Wanted {
  readonly cards: readonly WantedCard[];
  readonly sockets: readonly WantedSocket[];
}

/** How a seat stands with its outputs of a card. */
export interface SeatLease {
  readonly seat: string;
  /** The outputs that it must have. */
  readonly connectors: readonly string[];
  /** The outputs that its display server has now; none when there is no lease. */
  readonly leased: readonly string[];
  /** When the lease was made, ISO 8601. */
  readonly since?: string | undefined;
  /** Why it had less than it must have when it asked last. */
  readonly problem?: string | undefined;
}

export interface CardState {
  readonly node: string;
  readonly number: string;
  /** Why the holder is not the card's master; absent while it is. */
  readonly problem?: string | undefined;
  /** Why the kernel does not keep the seats of this card from each other's pictures; absent while it does. */
  readonly unguarded?: string | undefined;
  readonly seats: readonly SeatLease[];
}

/** The holder's state, a line of JSON: to each new client, and at each change. */
export interface HolderState {
  readonly pid: number;
  readonly cards: readonly CardState[];
  /** Seats whose display server runs on although its lease was taken back: it needs a new start. */
  readonly revoked: readonly { readonly seat: string; readonly node: string }[];
  /** Seats of which a display server runs on although another one has its outputs now; absent in a former version's holder. */
  readonly replaced?: readonly { readonly seat: string; readonly node: string }[];
  /** Sockets that it listens at, by their inodes. */
  readonly sockets: readonly { readonly seat: string; readonly path: string; readonly inode: string }[];
  /** Seats to which devices are served. */
  readonly seats?: readonly SeatState[];
}

/** Display servers that had outputs of a card, and whose framebuffers live on for as long as they do. */
export const runningOn = (state: HolderState | undefined): HolderState['revoked'] =>
  state === undefined ? [] : [...state.revoked, ...(state.replaced ?? [])];

/** Reads a line of the agent's or of the holder's; both are root's. Throws where it is not JSON. */
export const wantedOf = (line: string): Wanted | WantedSeats | WantedName =>
  JSON.parse(line) as Wanted | WantedSeats | WantedName;
export const saidOf = (line: string): HolderState | Done | Identified =>
  JSON.parse(line) as HolderState | Done | Identified;

export const isOfSeats = (wanted: Wanted | WantedSeats): wanted is WantedSeats => 'serial' in wanted;
export const isDone = (said: HolderState | Done): said is Done => 'done' in said;

/** A device that a seat's display server may open. */
export interface ServedDevice {
  /** `c13:67`. */
  readonly id: string;
  /** Its path in the display server's words, which is also its path on the host: `/dev/input/event3`. */
  readonly path: string;
  /** By which ioctl it is taken back. */
  readonly kind: 'input' | 'hidraw';
  /** `13:67`. */
  readonly number: string;
  readonly syspath: string;
  /** As in `Incarnation`. */
  readonly incarnation?: string | undefined;
}

/** The devices that are served to a seat. */
export interface ServedSeat extends WantedSocket {
  /** Whether its libseat waits for an answer to SWITCH_SESSION: from 0.9 on it does, before that an answer ends its session. */
  readonly answersSwitch: boolean;
  readonly devices: readonly ServedDevice[];
}

/** The devices to serve from now on, a line of JSON; answered with `Done`. */
export interface WantedSeats {
  /** Counts up. */
  readonly serial: number;
  readonly seats: readonly ServedSeat[];
  /** Whether nothing is served to any other seat. */
  readonly isAll: boolean;
}

/** It is done: nobody can open anything else, or has it open, but for `left`. */
export interface Done {
  /** The request's number. */
  readonly done: number;
  /** Whether that request named all seats: then it stands for all before it as well. */
  readonly isAll: boolean;
  /** The identity of this holder: a holder that was started again knows nothing of the former one's open files. */
  readonly holder: string;
  /** Why something that was opened is not taken back, by id: of all seats, and of all requests. */
  readonly left: Readonly<Record<string, string>>;
}

/** The open devices of display servers, for status. */
export interface SeatState {
  readonly seat: string;
  readonly path: string;
  readonly inode: string;
  /** Whether a display server is at the seat. */
  readonly isOpen: boolean;
  /** Ids of the devices that it has open. */
  readonly opened: readonly string[];
}
