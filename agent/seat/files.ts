import { existsSync, readdirSync } from 'node:fs';
import type { Logger } from 'pino';
import { SeatDirectory } from './directory.js';
import { Journal } from './journal.js';
import { journalRoot, seats } from './layout.js';

/** The files of one seat. */
export interface SeatFiles {
  readonly directory: SeatDirectory;
  readonly journal: Journal;
}

/** Where the files of all seats are. */
export interface FilesOfSeats {
  readonly open: (seat: string, log: Logger) => SeatFiles;
  /** Seats of which there are files, perhaps of a former policy. */
  readonly former: () => readonly string[];
}

/** Their usual place. */
export const usualFiles: FilesOfSeats = {
  open: seatFiles,
  former: () => (existsSync(seats) ? readdirSync(seats) : []),
};

/** Opens the files of a seat. Missing files are made. Files beyond use are set aside, and the log says so. */
function seatFiles(seat: string, log: Logger): SeatFiles {
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
