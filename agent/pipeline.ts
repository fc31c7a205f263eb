import { concatMap, map, merge, type Observable, tap, timer } from 'rxjs';
import type { Touched } from './core/scope.js';
import type { Container } from './engines/engine.js';
import type { SeatController } from './seat/controller.js';
import type { UdevMessage } from './udev/source.js';
import type { DeviceTable } from './udev/table.js';

/** Everything that can make a seat change. */
export interface Sources {
  /** udevd's messages, and a resync whenever some may have been lost. */
  readonly udev: Observable<UdevMessage>;
  /** Units of which attributes are known by now that verdicts depend on. */
  readonly read: Observable<ReadonlySet<string>>;
  /** The seats that a new policy may have changed, whenever one was adopted. */
  readonly adopted: Observable<Touched>;
  /** All running containers, whenever one started, stopped, froze, thawed or got another init. */
  readonly containers: Observable<readonly Container[]>;
}

/** How often to look for changes that no event tells of, ms (promise 6). */
const recheckEvery = 30_000;

/**
 * The way of every event, from what happened to the seats that it may have changed:
 *
 *     udev ──► device table ──► verdicts ──┐
 *     slow attributes ───────► verdicts ──┤
 *     policy ──────────────► verdicts ─────┼──► seats ──► their workers ──► kernel ──► the containers' Xorgs
 *     engines ──► container table ─────────┘
 *
 * What has to be done is never in the event. A worker finds it by comparing what its seat must have with what it has,
 * so that start, hot-plug, container restart, agent restart, policy reload and lost events are one code path.
 */
export function pipeline(sources: Sources, table: DeviceTable, controller: SeatController): Observable<void> {
  const plugged = sources.udev.pipe(
    tap((message) => controller.tell(message)),
    map((message) => controller.judge(table.take(message))),
  );
  const read = sources.read.pipe(map((ids) => controller.judge(ids)));
  const populated = sources.containers.pipe(map((containers) => controller.populate(containers)));
  const recheck = timer(recheckEvery, recheckEvery).pipe(
    concatMap(async () => {
      controller.judge(await table.readAgain());
      await controller.recheck();
    }),
  );
  return merge(
    merge(plugged, read, sources.adopted, populated).pipe(
      tap((seats) => void controller.serve(seats)),
      map(() => undefined),
    ),
    recheck,
  );
}
