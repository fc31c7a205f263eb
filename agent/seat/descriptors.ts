import type { JournalEntry, NodeRef } from '../core/step.js';

/** The result of taking back the open devices of display servers. */
export interface Withdrawn {
  /** The holder that did it; undefined where there is none, so that nobody can open anything. */
  readonly holder: string | undefined;
  /** Why it could not take something back that it had opened, by id. */
  readonly left: Readonly<Record<string, string>>;
}

/** Devices that are opened for the display server of a seat, which has no node of them. */
export interface Descriptors {
  /** The devices that a seat had when this agent started. */
  resume(seat: string, entries: Iterable<JournalEntry>): void;
  /** Settles with the holder's name when the display server can open it. */
  serve(seat: string, entry: JournalEntry, served: NodeRef): Promise<string>;
  /** Settles when nobody at the seat can open any of these any more. */
  withdraw(seat: string, ids: readonly string[]): Promise<Withdrawn>;
}

/** Where there is no holder. */
export const noDescriptors: Descriptors = {
  resume: () => undefined,
  serve: () => Promise.reject(new Error('there is no holder that could open it')),
  withdraw: () => Promise.resolve({ holder: undefined, left: {} }),
};
