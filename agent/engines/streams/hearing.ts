import { defer, retry, Subject, type Subscription, tap, throttleTime, throwError, timeout, timer } from 'rxjs';
import type { EventStream, Word } from './stream.js';

/** A stream as it is now. */
export interface Heard {
  readonly place: string;
  /** Why it is not listened to; undefined while it is. */
  readonly reason: string | undefined;
  /** Words heard since it is attended to. */
  readonly words: number;
}

/** Waits before a stream is opened again, ms: first, and the longest; each is twice the one before. */
const again = { first: 1000, longest: 30_000 };
/** How often we look while events come without end, ms: an event is a hint and no more. */
const atMostEvery = 200;
/** It has recovered when it was listened to for this long, ms. */
const healthy = 30_000;

/** Listens to an engine's streams, and tries those that end or cannot be opened again. */
export class Hearing {
  private readonly streams = new Map<
    string,
    { subscription: Subscription; reason: string | undefined; words: number }
  >();

  private readonly hints = new Subject<void>();

  /**
   * `heard` is called at each event. `changed` is called when a stream begins or ends, with the reason. `patience`:
   * longest time until an engine lets us listen, ms.
   */
  constructor(
    heard: () => void,
    private readonly changed: (place: string, reason: string | undefined) => void,
    private readonly patience = 10_000,
  ) {
    this.hints.pipe(throttleTime(atMostEvery, undefined, { leading: true, trailing: true })).subscribe(heard);
  }

  /** Listens to these from now on, and to no others. */
  attend(streams: readonly EventStream[]): void {
    const wanted = new Map(streams.map((stream) => [stream.place, stream]));
    for (const [place, { subscription }] of this.streams) {
      if (wanted.has(place)) continue;
      subscription.unsubscribe();
      this.streams.delete(place);
    }
    for (const [place, stream] of wanted) if (!this.streams.has(place)) this.open(stream);
  }

  get now(): readonly Heard[] {
    return [...this.streams].map(([place, { reason, words }]) => ({ place, reason, words }));
  }

  private open({ place, words }: EventStream): void {
    const state = { reason: 'it is being opened' as string | undefined, words: 0 };
    const say = (reason: string | undefined): void => {
      if (state.reason !== reason) this.changed(place, reason);
      state.reason = reason;
    };
    let opened = 0;
    let failures = 0;
    const wait = (): number => {
      failures = performance.now() - opened > healthy ? 0 : failures + 1;
      return Math.min(again.first * 2 ** Math.max(failures - 1, 0), again.longest);
    };
    const stream = defer(() => {
      opened = performance.now();
      return words.pipe(
        timeout({
          first: this.patience,
          with: () => throwError(() => new Error(`no answer within ${this.patience} ms`)),
        }),
      );
    });
    const take = (word: Word): void => {
      if (word === 'listening') say(undefined);
      else state.words += 1;
      // Before it was listened to, something may have happened as well.
      this.hints.next();
    };
    const entry = Object.assign(state, {
      subscription: stream
        .pipe(tap({ next: take, error: (error: Error) => say(error.message) }), retry({ delay: () => timer(wait()) }))
        .subscribe(),
    });
    this.streams.set(place, entry);
  }
}
