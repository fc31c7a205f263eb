import { join } from 'node:path';
import { type Observable, Subject } from 'rxjs';
import { slowAttributes } from '../core/device.js';
import type { Helpers } from '../kernel/helpers.js';
import { Lanes } from '../kernel/lanes.js';
import { soon } from '../kernel/soon.js';
import { attributesFrom, host, incarnationOf, located, type Roots, type SlowReader } from './enumerate.js';

/** Longest attribute that the kernel gives out, bytes: a page (sysfs(5)). */
const longest = 64 * 1024;
/** So many devices are asked at a time; one that did not answer waits in a lane of its own. */
const mostAtOnce = 3;
/** Waits before a device is asked again that did not answer, ms. */
const backoff = [1000, 2000, 4000, 8000, 16_000, 30_000];
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

/**
 * Attributes whose reader can wait for somebody (`slowAttributes`). A helper process reads them, only when a rule or a verb asks
 * for them, and once for each incarnation of a device: as long as it lives they do not change.
 */
export class SlowAttributes {
  private readonly kept = new Map<string, { readonly incarnation: string; readonly values: Record<string, string> }>();
  private readonly asked = new Map<string, Asked>();
  private readonly lanes = new Lanes(mostAtOnce);
  private readonly slowLane = new Lanes(1);
  private readonly subject = new Subject<ReadonlySet<string>>();
  private closed = false;
  /** The units that waited for attributes which are known now. */
  readonly read: Observable<ReadonlySet<string>> = this.subject;

  constructor(
    private readonly helpers: Pick<Helpers, 'ask'>,
    private readonly roots: Roots = host,
    private readonly waits: readonly number[] = backoff,
  ) {}

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
    asked.first = this.lanes.run(syspath, () => this.tryOnce(syspath, asked, 0));
    return asked;
  }

  private async tryOnce(syspath: string, asked: Asked, tries: number): Promise<void> {
    if (this.closed) return;
    const answer = await this.answerOf(syspath);
    if (this.closed) return;
    if (answer === 'known' || answer === 'gone') {
      this.asked.delete(syspath);
      // Of a device that has gone there is nothing new to be said: its removal is heard of as any other.
      if (answer === 'known' && asked.units.size > 0) this.subject.next(asked.units);
      return;
    }
    asked.why = answer.why;
    const wait = this.waits[Math.min(tries, this.waits.length - 1)] ?? 0;
    asked.timer = setTimeout(
      () => void this.slowLane.run(syspath, () => this.tryOnce(syspath, asked, tries + 1)),
      wait,
    ).unref();
  }

  /** `why`: in words, why the device has not answered. */
  private async answerOf(syspath: string): Promise<'known' | 'gone' | { readonly why: string }> {
    const incarnation = incarnationOf(syspath, this.roots);
    if (incarnation === undefined) return 'gone';
    const directory = located(syspath, this.roots);
    const files = slowAttributes.map((name) => join(directory, name));
    try {
      const texts = await this.helpers.ask({
        do: 'read-files',
        owner: syspath,
        files,
        limit: longest,
        encoding: 'utf8',
      });
      if (incarnationOf(syspath, this.roots) !== incarnation) return { why: `${syspath} was plugged again meanwhile` };
      this.forget();
      this.kept.set(syspath, { incarnation, values: attributesFrom(slowAttributes, (_, index) => texts[index]) });
      return 'known';
    } catch (error) {
      const what = `${slowAttributes.join(', ')} of ${syspath} cannot be read, perhaps because somebody keeps it busy`;
      return { why: `${what}: ${(error as Error).message}` };
    }
  }

  private forget(): void {
    if (this.kept.size < mostKept) return;
    for (const syspath of this.kept.keys()) if (this.of(syspath, this.roots) === undefined) this.kept.delete(syspath);
  }
}
