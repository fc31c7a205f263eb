import { join } from 'node:path';
import type { Logger } from 'pino';
import { type Observable, Subject } from 'rxjs';
import { attributeNames, slowAttributes } from '../core/device.js';
import { HeldUp } from '../kernel/held-up.js';
import type { Helpers } from '../kernel/helpers.js';
import { Lanes } from '../kernel/lanes.js';
import { readOptional } from '../kernel/read.js';
import type { RecordFile } from '../kernel/record-file.js';
import { soon } from '../kernel/soon.js';
import { attributesFrom, host, incarnationOf, located, type Roots, type SlowReader } from './enumerate.js';

/** Longest attribute that the kernel gives out, bytes: a page (sysfs(5)). */
const longest = 64 * 1024;
/** Waits before a device is asked again that did not answer, ms. A reader of a single one waits on, see `patient`. */
const backoff = [1000, 2000, 4000];
/** A reader waits for so long at a device that did not answer before, as long as no other such device waits for its turn, ms. */
const patient = 20_000;
/** Nobody waits longer than this for all devices to answer, ms: the rest is told later. */
const patience = 5000;
/** More devices than a PC has. Those that have gone are forgotten then. */
const mostKept = 512;

interface Asked {
  /** The units that wait for the answer. */
  readonly units: Set<string>;
  /** Settles after the first try. */
  first: Promise<unknown>;
  /** In words, why there is no answer; undefined while it is asked for the first time. */
  why: string | undefined;
  timer?: NodeJS.Timeout | undefined;
}

/** The attributes of a device, as they were read. `form`: of which boot, and which attributes were asked for. */
export interface ReadOnce {
  readonly form: string;
  readonly incarnation: string;
  readonly values: Readonly<Record<string, string>>;
}

/** Whether a value that was read from the record is one. */
export const isReadOnce = (value: unknown): value is ReadOnce =>
  typeof value === 'object' &&
  value !== null &&
  'form' in value &&
  'incarnation' in value &&
  'values' in value &&
  typeof value.form === 'string' &&
  typeof value.incarnation === 'string' &&
  typeof value.values === 'object' &&
  value.values !== null &&
  Object.entries(value.values).every(([name, text]) => attributeNames.includes(name) && typeof text === 'string');

export interface SlowAttributesOptions {
  readonly roots?: Roots;
  readonly waits?: readonly number[];
  /** For an agent that starts again while somebody keeps a device busy. */
  readonly record?: RecordFile<ReadOnce>;
  readonly log?: Pick<Logger, 'error'>;
}

/**
 * Attributes whose reader can wait for somebody (`slowAttributes`), and others that the agent could not read by itself. A helper
 * process reads them, only when a rule or a verb asks for them, and once for each incarnation of a device: as long as it lives
 * they do not change. They are kept in a record, because the next agent may not be able to read them.
 */
export class SlowAttributes {
  private readonly kept = new Map<string, ReadOnce>();
  private readonly asked = new Map<string, Asked>();
  /** Those that did not answer are asked one after the other. */
  private readonly slowLane = new Lanes(1);
  /** How many of these are asked, or wait for their turn. */
  private again = 0;
  private readonly subject = new Subject<ReadonlySet<string>>();
  private readonly roots: Roots;
  private readonly form: string | undefined;
  private closed = false;
  /** The units that waited for attributes which are known now. */
  readonly read: Observable<ReadonlySet<string>> = this.subject;

  constructor(
    private readonly helpers: Pick<Helpers, 'ask'>,
    private readonly options: SlowAttributesOptions = {},
  ) {
    this.roots = options.roots ?? host;
    this.form = formNow();
    for (const [syspath, known] of options.record?.read() ?? []) {
      if (known.form === this.form) this.kept.set(syspath, known);
    }
    this.forgetGone();
  }

  /** The known attributes of a device; reads nothing. */
  readonly of: SlowReader = (syspath) => {
    const known = this.kept.get(syspath);
    return known !== undefined && known.incarnation === incarnationOf(syspath, this.roots) ? known.values : undefined;
  };

  /** A unit waits for what these devices say: they are asked until they have answered. */
  want(unit: string, syspaths: readonly string[]): void {
    for (const syspath of syspaths) this.ask(syspath).units.add(unit);
  }

  /** Settles when each of these devices has answered once, or has not in time. */
  async learn(syspaths: Iterable<string>): Promise<void> {
    const first = [...new Set(syspaths)].map((syspath) => this.ask(syspath).first);
    if (first.length > 0) await soon(Promise.all(first), patience);
  }

  /** In words, why attributes of these devices are not known. */
  why(syspaths: readonly string[]): string {
    const reasons = syspaths.map((syspath) => this.asked.get(syspath)?.why).filter((why) => why !== undefined);
    return [...new Set(reasons)].join('; ') || `${syspaths.join(' and ')} is being read`;
  }

  close(): void {
    this.closed = true;
    for (const { timer } of this.asked.values()) clearTimeout(timer);
    this.asked.clear();
    this.subject.complete();
  }

  private ask(syspath: string): Asked {
    const known = this.asked.get(syspath);
    if (known !== undefined) return known;
    const asked: Asked = { units: new Set(), first: Promise.resolve(), why: undefined };
    this.asked.set(syspath, asked);
    asked.first = this.tryOnce(syspath, asked, 0);
    return asked;
  }

  private async tryOnce(syspath: string, asked: Asked, tries: number): Promise<void> {
    if (this.closed) return;
    const answer = await this.answerOf(syspath, tries > 0).catch(({ message }: Error) => ({ why: message }));
    if (this.closed) return;
    if (answer === 'known' || answer === 'gone') {
      this.asked.delete(syspath);
      // Of a device that has gone there is nothing new to be said: its removal is heard of as any other.
      if (answer === 'known' && asked.units.size > 0) this.subject.next(asked.units);
      return;
    }
    asked.why = answer.why;
    const waits = this.options.waits ?? backoff;
    const wait = waits[Math.min(tries, waits.length - 1)] ?? 0;
    asked.timer = setTimeout(() => void this.tryAgain(syspath, asked, tries + 1), wait).unref();
  }

  private async tryAgain(syspath: string, asked: Asked, tries: number): Promise<void> {
    this.again += 1;
    try {
      await this.slowLane.run(syspath, () => this.tryOnce(syspath, asked, tries));
    } finally {
      this.again -= 1;
    }
  }

  /**
   * `why`: in words, why the device has not answered. `isAgain`: it did not before. Its reader waits on then while it is the
   * only one, and has the answer in the moment in which the device can be read.
   */
  private async answerOf(syspath: string, isAgain: boolean): Promise<'known' | 'gone' | { readonly why: string }> {
    const incarnation = incarnationOf(syspath, this.roots);
    if (incarnation === undefined) return 'gone';
    const directory = located(syspath, this.roots);
    const files = attributeNames.map((name) => join(directory, name));
    try {
      const texts = await this.helpers.ask(
        { do: 'read-files', kind: 'usb', owner: syspath, files, limit: longest, encoding: 'utf8' },
        undefined,
        { longest: (usual) => (isAgain && this.again === 1 ? Math.max(usual, patient) : usual) },
      );
      if (incarnationOf(syspath, this.roots) !== incarnation) return { why: `${syspath} was plugged again meanwhile` };
      this.keep(
        syspath,
        incarnation,
        attributesFrom(attributeNames, (_, index) => texts[index]),
      );
      return 'known';
    } catch (error) {
      if (incarnationOf(syspath, this.roots) === undefined) return 'gone';
      const { message } = error as Error;
      if (!(error instanceof HeldUp)) return { why: `attributes of ${syspath} cannot be read: ${message}` };
      const what = `${slowAttributes.join(', ')} of ${syspath} cannot be read, perhaps because somebody keeps it busy`;
      return { why: `${what}: ${message}` };
    }
  }

  private keep(syspath: string, incarnation: string, values: Readonly<Record<string, string>>): void {
    if (this.kept.size >= mostKept) this.forgetGone();
    const { form = '' } = this;
    this.kept.set(syspath, { form, incarnation, values });
    if (this.form === undefined) return;
    try {
      this.options.record?.write(this.kept);
    } catch (error) {
      this.options.log?.error({ err: error }, 'the record of attributes cannot be written');
    }
  }

  private forgetGone(): void {
    for (const syspath of this.kept.keys()) if (this.of(syspath, this.roots) === undefined) this.kept.delete(syspath);
  }
}

/**
 * The inode of a sysfs directory is used once in a boot, so that what was kept counts in the boot alone in which it was read
 * (random(4), boot_id). What an agent of another version asked for may be less.
 */
function formNow(): string | undefined {
  const boot = readOptional('/proc/sys/kernel/random/boot_id')?.trim();
  return boot === undefined ? undefined : `${boot} ${attributeNames.join(' ')}`;
}
