import type { Logger } from 'pino';
import { SeatDirectory } from './directory.js';
import { Journal } from './journal.js';
import { journalRoot } from './layout.js';

/** The files of one seat. */
export interface SeatFiles {
  readonly directory: SeatDirectory;
  readonly journal: Journal;
}

/** Opens the files of a seat. Missing files are made. Files beyond use are set aside, and the log says so. */
export function seatFiles(seat: string, log: Logger): SeatFiles {
  const directory = new SeatDirectory(seat);
  if (directory.setAside !== undefined) {
    log.warn(
      { seat, reason: directory.setAside },
      'the seat directory was beyond use, and a fresh one takes its place',
    );
  }
  const journal = new Journal(journalRoot(seat), (file, error) =>
    log.error({ file, err: error }, 'journal entry lost'),
  );
  return { directory, journal };
}
