import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fdatasync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { Logger } from 'pino';
import type { Audit, Deed, Outcome } from '../core/audit.js';

/** Survives a boot. */
export const trailFile = '/var/lib/hotseat/audit.jsonl';

/** Where a full file goes. The file that was there before is lost. */
export const formerTrail = (file: string): string => file.replace(/\.jsonl$/, '.1.jsonl');

/** First line of a record, and its last. */
export type Begun = Omit<Deed, 'what'> & {
  readonly id: string;
  readonly at: string;
  readonly begin: Deed['what'];
  readonly revision: string;
};
export type Ended = Outcome & { readonly id: string; readonly at: string; readonly ms: number };

interface Deps {
  readonly file: string;
  readonly log: Logger;
  /** The revision of the policy that is active. */
  readonly revision: () => string;
  /** Host group whose members may read it; root's when there is none. */
  readonly group: number | undefined;
  /** A file that has grown to this is put aside, bytes. */
  readonly limit?: number;
}

/** A file of this holds some 15,000 bindings, bytes. */
const usualLimit = 8 * 1024 * 1024;

/** Longest time until lines are sent to the disk, beside the way of any event, ms. */
const syncAfter = 1000;

/**
 * The audit trail: a line before each deed, another behind it, only ever appended. A first line alone is an action that
 * a crash or a power cut interrupted. A record that cannot be written holds up nothing: it is counted, and reported
 * once.
 */
export class Trail {
  /** Records that could not be written. */
  lost = 0;
  /** How many actions ended, by action and end: `bind done`. */
  readonly ended = new Map<string, number>();
  /** Microseconds: no two runs begin in one. */
  private readonly run = Math.floor((performance.timeOrigin + performance.now()) * 1000).toString(36);
  private count = 0;
  private fd: number | undefined;
  private size = 0;
  /** The file ends in the middle of a line. */
  private torn = false;
  /** Why it cannot be written now; undefined while it can. */
  problem: string | undefined;
  /** Repeated at the top of each file, so that every one of them tells whether its run still runs. */
  private header: Begun | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly deps: Deps) {}

  readonly open: Audit = ({ what, ...facts }) => {
    const started = process.hrtime.bigint();
    this.count += 1;
    const id = `${this.run}-${this.count}`;
    const begun: Begun = { id, at: now(), begin: what, ...facts, revision: this.deps.revision() };
    if (what === 'run') this.header = begun;
    this.write(begun);
    return (outcome) => {
      const ms = Number((process.hrtime.bigint() - started) / 1000n) / 1000;
      const key = `${what} ${outcome.end}`;
      this.ended.set(key, (this.ended.get(key) ?? 0) + 1);
      this.write({ id, at: now(), ...outcome, ms } satisfies Ended);
    };
  };

  close(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  private write(record: Begun | Ended): void {
    try {
      const line = lineOf(record);
      if (this.fd !== undefined && this.size + line.length > (this.deps.limit ?? usualLimit)) this.putAside();
      this.fd ??= this.openFile();
      this.append(this.fd, line);
      this.problem = undefined;
      this.syncSoon(this.fd);
    } catch (error) {
      this.lost += 1;
      const isKnown = this.problem !== undefined;
      this.problem = (error as Error).message;
      if (isKnown) return;
      this.deps.log.error({ err: error, file: this.deps.file }, 'the audit trail cannot be written');
    }
  }

  /** A single write(2) in append mode: a reader finds whole lines, but for a full disk or a power cut. */
  private append(fd: number, line: Buffer): void {
    const whole = this.torn ? Buffer.concat([newline, line]) : line;
    const written = writeSync(fd, whole);
    this.size += written;
    this.torn = written < whole.length;
    if (this.torn) throw new Error('only a part of a line could be written');
  }

  private openFile(): number {
    const { file, group } = this.deps;
    mkdirSync(dirname(file), { recursive: true });
    // All other files in there are for root alone; this file has readers.
    chmodSync(dirname(file), 0o711);
    const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
    const fd = openSync(file, flags, 0o600);
    if (group !== undefined) fchownSync(fd, 0, group);
    fchmodSync(fd, 0o640);
    this.size = fstatSync(fd).size;
    const last = Buffer.alloc(1);
    this.torn = this.size > 0 && readSync(fd, last, 0, 1, this.size - 1) === 1 && !last.equals(newline);
    return fd;
  }

  private putAside(): void {
    const { file } = this.deps;
    renameSync(file, formerTrail(file));
    this.close();
    this.fd = this.openFile();
    if (this.header !== undefined) this.append(this.fd, lineOf(this.header));
  }

  private syncSoon(fd: number): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      fdatasync(fd, () => undefined);
    }, syncAfter).unref();
  }
}

const newline = Buffer.from('\n');
const lineOf = (record: Begun | Ended): Buffer => Buffer.from(`${JSON.stringify(record)}\n`);
const now = (): string => new Date().toISOString();
