import { fstatSync } from 'node:fs';
import { type DestinationStream, pino } from 'pino';

/** Whether a descriptor leads to the journal: systemd names its stream by device and inode (systemd.exec(5), $JOURNAL_STREAM). */
export function isJournal(fd: number, { JOURNAL_STREAM }: NodeJS.ProcessEnv): boolean {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return JOURNAL_STREAM === `${dev}:${ino}`;
}

/** The journal's priority of one of pino's levels, 7 (debug) to 2 (critical) (sd-daemon(3)). */
export function priorityOf(level: number): number {
  if (level >= 60) return 2;
  if (level >= 50) return 3;
  if (level >= 40) return 4;
  return level >= 30 ? 6 : 7;
}

/**
 * Where the log goes: lines of JSON. In the journal each carries its priority in front, `<3>`, which journald takes off
 * again: `journalctl -p warning` works, and `-o cat` shows plain JSON.
 */
export function logStream(fd: number, environment: NodeJS.ProcessEnv): DestinationStream {
  const lines = pino.destination({ dest: fd, sync: true });
  if (!isJournal(fd, environment)) return lines;
  // pino tells a stream that asks for it the level of the line to come (its lib/proto.js).
  const stream = {
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 30,
    write(line: string): void {
      lines.write(`<${priorityOf(stream.lastLevel)}>${line}`);
    },
  };
  return stream;
}
