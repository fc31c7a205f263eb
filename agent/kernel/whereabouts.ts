// A helper process notes where it is in a long piece of work. The agent can read that note also while something holds the helper up.

import { readSync, writeSync } from 'node:fs';
import { syscall } from './libc.js';

/** The descriptor by which a helper knows that memory: the fifth of its standard ones. */
export const placeFd = 4;

/** Process that is looked at, and how many notes there were. */
export interface Whereabouts {
  readonly pid: number;
  readonly notes: number;
}

/** A file in memory for one helper (memfd_create(2)); the caller closes it. */
export const makePlace = (): number => syscall('memfd_create', 'the place of a helper', 'hotseat-helper', 1); // MFD_CLOEXEC

/** The last note of a helper; `notes` is 0 before the first one. */
export function readPlace(fd: number): Whereabouts {
  const note = Buffer.alloc(8);
  readSync(fd, note, 0, 8, 0);
  return { pid: note.readUInt32LE(0), notes: note.readUInt32LE(4) };
}

let notes = 0;

/** In the helper: this process comes next. */
export function noteAt(pid: number): void {
  const note = Buffer.alloc(8);
  notes = (notes + 1) >>> 0;
  note.writeUInt32LE(pid, 0);
  note.writeUInt32LE(notes, 4);
  writeSync(placeFd, note, 0, 8, 0);
}
