import { watch } from 'node:fs';
import { dirname, join } from 'node:path';
import { auditTime, EMPTY, filter, map, merge, Observable, of, switchMap, timer } from 'rxjs';
import { gitDirectory } from './git-command.js';
import type { PolicyPlace } from './source.js';

/** What a commit changes comes in several pieces, ms. */
const settle = 100;

/**
 * When a ref may have moved: now, whenever something stirs where git keeps it, and every so often, because it may have
 * moved between those places. Nothing ever for a plain directory.
 */
export function refMoves({ policies, ref }: PolicyPlace, everyMs: number): Observable<void> {
  if (ref === undefined) return EMPTY;
  const at = gitDirectory(policies);
  const below = [...new Set([dirname(ref), 'refs/heads', 'reftable'])].filter((place) => place !== '.');
  const places = below.map((place) => stirs(join(at, place), /^/));
  return timer(0, everyMs).pipe(
    switchMap(() => merge(of(undefined), stirs(at, /^(HEAD|packed-refs)$/), ...places)),
    auditTime(settle),
  );
}

/** What inotify tells of a directory, whose owner may have put anything there, or nothing. */
const stirs = (directory: string, names: RegExp): Observable<void> =>
  new Observable<string>((subscriber) => {
    try {
      const watcher = watch(directory, { persistent: false }, (_event, name) => subscriber.next(name ?? ''));
      watcher.on('error', () => watcher.close());
      return () => watcher.close();
    } catch {
      return undefined;
    }
  }).pipe(
    filter((name) => names.test(name)),
    map(() => undefined),
  );
