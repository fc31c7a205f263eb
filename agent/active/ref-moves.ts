import { closeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { auditTime, EMPTY, Observable, switchMap, timer } from 'rxjs';
import { CalmWatch } from '../kernel/calm-watch.js';
import type { PolicyPlace } from '../policy/source.js';

/** The changes of a commit come in several pieces, ms. */
const settle = 100;

/**
 * Opens a directory by name only. Rejects when there is none, and when it need not answer: the owner of the repository
 * may have mounted a file system of his own there.
 */
export type OpenDirectory = (path: string) => Promise<number>;

/**
 * When a ref may have moved: now, whenever something stirs where git keeps it, and every so often, because it may have
 * moved between those places, or where it is may not be watched. Nothing ever for a plain directory.
 */
export function refMoves({ policies, ref }: PolicyPlace, everyMs: number, open: OpenDirectory): Observable<void> {
  if (ref === undefined) return EMPTY;
  const below = [...new Set([dirname(ref), 'refs/heads', 'reftable'])].filter((place) => place !== '.');
  const places = [join(policies, '.git'), policies].flatMap((at): Place[] => [
    { directory: at, names: /^(HEAD|packed-refs)$/ },
    ...below.map((place) => ({ directory: join(at, place), names: /^/ })),
  ]);
  return timer(0, everyMs).pipe(
    switchMap(() => stirs(places, open)),
    auditTime(settle),
  );
}

interface Place {
  readonly directory: string;
  readonly names: RegExp;
}

/**
 * inotify's events about directories, whose owner may have put anything there, or nothing; and one event when it
 * begins.
 */
const stirs = (places: readonly Place[], open: OpenDirectory): Observable<void> =>
  new Observable((subscriber) => {
    const watchers = new Map<Place, CalmWatch>();
    const attend = async (place: Place): Promise<void> => {
      const { directory, names } = place;
      const fd = await open(directory);
      try {
        if (subscriber.closed) return;
        const watcher = new CalmWatch(`/proc/self/fd/${fd}/`, {
          heard: (name) => {
            if (names.test(name ?? '')) subscriber.next();
          },
          rested: () => void listen([place]),
          failed: () => undefined,
        });
        watchers.set(place, watcher);
      } finally {
        closeSync(fd);
      }
    };
    const listen = async (at: readonly Place[]): Promise<void> => {
      await Promise.allSettled(at.map(attend));
      subscriber.next();
    };
    void listen(places);
    return () => {
      for (const watcher of watchers.values()) watcher.close();
    };
  });
