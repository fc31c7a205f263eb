import { map, merge, type Observable, of, startWith, switchMap, throttle, timer } from 'rxjs';

/** A container that is being set up tells nobody when it is done: looked at this often then, ms. */
const setupCheck = [50, 100, 200, 400, 800, 1500, 3000, 6000, 12_000, 20_000];

/** How often to look at a user who makes and removes cgroups, or lets an engine send events, without end, ms. */
const atMostEvery = 20;

/** And a look that takes long is taken so many times its own length apart: nobody can have all of the time by that. */
const apart = 4;

/**
 * When to look which containers there are: now, after every change and for a while behind it, and every so often without
 * one. A watch may have found no room, and setting up may take longer than anybody would wait for it. `lastTook`: how long
 * the last look took, ms.
 */
export function looks(changes: Observable<void>, everyMs: number, lastTook: () => number = () => 0): Observable<void> {
  const inTime = <T>() =>
    throttle<T>(() => timer(Math.max(atMostEvery, apart * lastTook())), { leading: true, trailing: true });
  const behindOne = () => merge(of(0), ...setupCheck.map((ms) => timer(ms))).pipe(inTime());
  const behindEach = changes.pipe(startWith(undefined), inTime(), switchMap(behindOne));
  return merge(behindEach, timer(everyMs, everyMs)).pipe(map(() => undefined));
}
