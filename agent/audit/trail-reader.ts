import type { Deed, Outcome } from '../core/audit.js';
import { Lines } from '../core/lines.js';
import type { Begun, Ended } from './trail.js';

/** An action, put together of its two lines. */
export interface TrailRecord extends Deed, Omit<Outcome, 'end'> {
  /** Names the action. */
  readonly id: string;
  /** When it began (ISO 8601, UTC). */
  readonly at: string;
  /** The policy that was in force. */
  readonly revision: string;
  /** How it ended. `open`: it is under way. `unclosed`: it was interrupted, and the agent that began it is gone. */
  readonly result: Outcome['end'] | 'open' | 'unclosed';
  /** How long it took, in milliseconds. */
  readonly ms: number | undefined;
}

/** Whether a record tells of something that went wrong. */
export const isFailure = ({ result }: TrailRecord): boolean => result === 'failed' || result === 'unclosed';

/**
 * Puts a trail together again, part by part as it is read. Pure. A line that is no record (torn by a power cut, or
 * spoilt by a full disk) is passed over and counted. So is an end whose beginning went with a former file.
 */
export class TrailReader {
  /** Lines that are no records. */
  damaged = 0;
  private readonly lines = new Lines();
  private readonly begun = new Map<string, Begun>();
  private readonly processes = new Map<string, string>();

  /** The next part of the text; returns the records that it completes, in the order of their ends. */
  take(text: string): TrailRecord[] {
    return this.lines.take(text).flatMap((line) => this.line(line));
  }

  /** Actions that were begun and not ended so far. `runs`: whether a process (`pid:start time`) does. */
  unclosed(runs: (process: string) => boolean): TrailRecord[] {
    return [...this.begun.values()].map((begun) => {
      const process = this.processes.get(runOf(begun.id));
      return { ...deedOf(begun), result: process !== undefined && runs(process) ? 'open' : 'unclosed', ms: undefined };
    });
  }

  private line(line: string): TrailRecord[] {
    if (line === '') return [];
    const record = parse(line);
    if (record === undefined) {
      this.damaged += 1;
      return [];
    }
    if ('begin' in record) {
      this.begun.set(record.id, record);
      if (record.process !== undefined) this.processes.set(runOf(record.id), record.process);
      return [];
    }
    const begun = this.begun.get(record.id);
    if (begun === undefined) return [];
    this.begun.delete(record.id);
    const { id: _id, at: _at, end, ...outcome } = record;
    return [{ ...deedOf(begun), ...outcome, result: end }];
  }
}

/** A trail that is complete: its records in the order in which they were begun. */
export function recordsOf(text: string, runs: (process: string) => boolean): TrailRecord[] {
  const reader = new TrailReader();
  const records = [...reader.take(`${text}\n`), ...reader.unclosed(runs)];
  return records.sort((a, b) => compare(a.id, b.id));
}

/** Ids are `run-count`: a run's are in order, and so are the runs, as long as the clock was. */
export function compare(a: string, b: string): number {
  const [runA, runB] = [runOf(a), runOf(b)];
  if (runA !== runB) return runA.length - runB.length || (runA < runB ? -1 : 1);
  return Number(a.slice(runA.length + 1)) - Number(b.slice(runB.length + 1));
}

const runOf = (id: string): string => id.slice(0, id.lastIndexOf('-'));

const deedOf = ({ begin, ...facts }: Begun): Deed & Pick<TrailRecord, 'id' | 'at' | 'revision'> => ({
  ...facts,
  what: begin,
});

function parse(line: string): Begun | Ended | undefined {
  try {
    const value = JSON.parse(line) as Partial<Begun & Ended> | null;
    const known = typeof value?.id === 'string' && typeof value.at === 'string';
    const whole = typeof value?.begin === 'string' || (typeof value?.end === 'string' && typeof value.ms === 'number');
    return known && whole ? (value as Begun | Ended) : undefined;
  } catch {
    return undefined;
  }
}
