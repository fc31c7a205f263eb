import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import { NEVER, Subject } from 'rxjs';
import { Trail } from '../audit/trail.js';
import type { Policy } from '../core/policy.js';
import type { Touched } from '../core/scope.js';
import type { Container } from '../engines/engine.js';
import { HostRules } from '../host/host-rules.js';
import { DeviceMap } from '../kernel/device-map.js';
import { pipeline } from '../pipeline.js';
import { SeatController } from '../seat/controller.js';
import { SeatDirectory } from '../seat/directory.js';
import { Grants } from '../seat/grants.js';
import { Journal } from '../seat/journal.js';
import { runtime } from '../seat/layout.js';
import type { UdevMessage } from '../udev/source.js';
import { DeviceTable } from '../udev/table.js';
import { makeFiles, messages, port } from './keyboard.js';
import { harmless, Nowhere, nobody } from './nobody.js';

/** No seat of a policy can have such a name. */
const name = '.warm-up';

/** Root's alone. */
const place = join(runtime, 'warm-up');

/** Longest time until a seat is served, ms. All of a walk takes some ten. */
const longest = 5000;

/** How often to look whether the seats are at rest, and for how long at most, ms. */
const look = { every: 500, longest: 30_000 };

/** Once nobody is busy any more, or after half a minute in any case; `signal`: not any more. */
export async function warmUpWhen(isIdle: () => boolean, log: Logger, signal: AbortSignal): Promise<void> {
  try {
    for (let waited = 0; waited < look.longest; waited += look.every) {
      await pause(look.every, undefined, { ref: false, signal });
      if (isIdle()) break;
    }
  } catch {
    return;
  }
  await warmUp(log);
}

/**
 * A keyboard comes and goes once, on the way of any other, so that the first one that a person plugs finds all code loaded
 * and compiled. This keyboard, its seat and its container exist nowhere else: the files are in a directory of their own, the
 * grant is in a map of its own that no guard reads, and the announcement is sent where nobody can listen. Nothing is left of
 * it. Never fails. Other events are dealt with in between.
 */
export async function warmUp(log: Logger): Promise<void> {
  try {
    clear();
    mkdirSync(place, { mode: 0o700 });
    await walk(pino({ name: 'hotseat', level: log.level }, { write: () => undefined }));
  } catch (error) {
    log.debug({ err: error }, 'the way of an event was not walked: the first one takes longer');
  }
  try {
    clear();
  } catch (error) {
    log.debug({ err: error }, 'something is left of a walk');
  }
}

/** An agent that was killed meanwhile leaves something there. */
const clear = (): void => rmSync(place, { recursive: true, force: true });

/** Wired as in main.ts. */
async function walk(log: Logger): Promise<void> {
  const [sys, group] = [join(place, 'sys'), join(place, 'group')];
  makeFiles(sys);
  mkdirSync(group);
  const table = new DeviceTable({ sys, data: join(place, 'data') });
  const map = DeviceMap.apart();
  const namespaces = new Nowhere();
  const trail = new Trail({ file: join(place, 'trail/audit.jsonl'), log, revision: () => revision, group: undefined });
  const rules = new HostRules(log);
  const controller = new SeatController({
    ...{ log, table, namespaces, effects: harmless, audit: trail.open },
    grants: new Grants(map, undefined, undefined, sys),
    tell: () => undefined,
    measure: () => undefined,
    along: (unit, verdict) => rules.tell(unit, verdict),
    files: {
      former: () => [],
      open: (seat) => ({
        directory: new SeatDirectory(seat, { path: join(place, 'seat'), isMount: false }),
        journal: new Journal(join(place, 'journal'), () => undefined),
      }),
    },
  });
  const udev = new Subject<UdevMessage>();
  const adopted = new Subject<Touched>();
  const containers = new Subject<readonly Container[]>();
  const flow = pipeline({ udev, read: NEVER, adopted, containers }, table, controller).subscribe();
  const served = async (): Promise<void> => {
    const end = performance.now() + longest;
    do {
      await turn();
      if (performance.now() > end) throw new Error('a seat is busy with nothing');
    } while (controller.busy().length > 0);
    const [problem] = controller.problems();
    if (problem !== undefined) throw new Error(problem);
  };
  try {
    containers.next([nobody(name, group)]);
    adopted.next(controller.adopt(policy));
    await served();
    for (const action of ['add', 'remove'] as const) {
      for (const message of messages(action)) udev.next(message);
      await served();
    }
  } finally {
    flow.unsubscribe();
    await controller.close();
    namespaces.close();
    trail.close();
    map.close();
  }
}

const revision = 'none';

/** One seat, with one rule for that port. */
const policy: Policy = {
  revision,
  console: 'open',
  seats: [
    {
      seat: name,
      container: { engine: 'lxc', name },
      file: '',
      rules: [
        {
          label: port,
          place: { file: '', line: 1, column: 1 },
          conditions: [{ on: 'property', key: 'ID_PATH', patterns: [port], negate: false }],
          ...{ share: false, whole: true, access: {}, hidraw: false, byName: false, revoke: 'auto' },
        },
      ],
    },
  ],
};
