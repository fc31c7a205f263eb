// A model of a PC, its kernel and its containers goes through random histories with the real house.
//
// Without more words the histories are always the same, so that no change is red for something unrelated.
// HOTSEAT_HISTORIES: how many, and others each time; HOTSEAT_SEED and HOTSEAT_PATH: those of a failure that was
// printed. A long run is started without the runner, which ends hanging files.

import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Tenants } from '../../agent/core/tenants.js';
import { Attachment } from '../../agent/seat/attachment.js';
import { Executor } from '../../agent/seat/executor.js';
import { Grants } from '../../agent/seat/grants.js';
import { SeatWorker } from '../../agent/seat/worker.js';
import { DeviceTable } from '../../agent/udev/table.js';
import { type Parts, sound } from './model/agent.js';
import { History } from './model/history.js';
import { heard, histories, type Step, type What, wordsOf } from './model/steps.js';
import { unshared } from './unshared.js';

unshared(import.meta.url);

const { HOTSEAT_HISTORIES: many, HOTSEAT_SEED: seed, HOTSEAT_PATH: path } = process.env;
const count = Number(many ?? 1000);
const longest = 20;

test.before(() => {
  // Both file systems are the model's from here on.
  for (const path of ['/sys', '/run']) execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', path]);
});

/** The printed words of a failure, to see it again. */
const again = {
  seed: Number(seed ?? (many === undefined ? 1 : Date.now() % 2 ** 31)),
  ...(path === undefined ? {} : { path }),
};

/** Goes through histories, and says what became of them; returns whether one of them broke a promise. */
async function findsFault(parts: Parts, how: fc.Parameters<[Step[]]>, all = histories(longest)): Promise<boolean> {
  const started = performance.now();
  let lived = 0;
  const property = fc.asyncProperty(all, async (steps) => {
    lived += 1;
    await new History(steps, parts).live();
  });
  const found = await fc.check(property, { numRuns: count, ...how });
  const rate = (lived / (performance.now() - started)) * 1000;
  console.log(`${lived} histories, seed ${found.seed}, ${rate.toFixed(0)} a second`);
  if (!found.failed) return false;
  console.log(`HOTSEAT_SEED=${found.seed} HOTSEAT_PATH=${found.counterexamplePath}`);
  for (const step of found.counterexample?.[0] ?? []) console.log(`  ${wordsOf(step)}`);
  console.log(found.errorInstance instanceof Error ? found.errorInstance.stack : found.errorInstance);
  return true;
}

test('whatever happens, nobody has what is another’s, and everything comes to its place', async () => {
  assert.not.ok(await findsFault(sound, again), 'a history broke a promise');
});

test('nothing is left to the look every 30 s where nothing was lost', async () => {
  const all = histories(longest).map(heard);
  assert.not.ok(await findsFault(sound, { ...again, numRuns: Math.ceil(count / 3) }, all));
});

test('the same holds where the kernel lists all who have a card open, and takes no raw node back', async () => {
  const lists = { ...sound, listsClients: true, takesRawBack: false };
  assert.not.ok(await findsFault(lists, { ...again, numRuns: Math.ceil(count / 3) }));
});

test('it is found out when what leaves is not denied', async () => {
  class Lenient extends Grants {
    override deny(): void {}
  }
  assert.ok(await findsFault({ ...sound, Grants: Lenient }, { seed: 1, endOnFailure: true }));
});

test('it is found out when nobody asks who still has a device', async () => {
  const { of } = Tenants.prototype;
  Tenants.prototype.of = () => new Set();
  try {
    assert.ok(await findsFault(sound, { seed: 1, endOnFailure: true }));
  } finally {
    Tenants.prototype.of = of;
  }
});

/** As long as something is done, one method of a class is another. */
async function replaced(owner: object, name: string, value: unknown, act: () => Promise<void>): Promise<void> {
  const former = Object.getOwnPropertyDescriptor(owner, name);
  if (former === undefined) throw new Error(`there is no ${name}`);
  Object.defineProperty(owner, name, { ...former, value });
  try {
    await act();
  } finally {
    Object.defineProperty(owner, name, former);
  }
}

test('it is found out when nobody asks what lies in messages', async () => {
  assert.ok(
    await findsFault({ ...sound, found: (search) => ({ ...search, inFlight: [] }) }, { seed: 1, endOnFailure: true }),
  );
});

/** Histories that begin in this way. */
const after = (...begin: readonly What[]): fc.Arbitrary<Step[]> =>
  histories(longest).map((steps) => [...begin.map((what) => ({ what, amid: 0 })), ...steps]);

/** The user's container has a keyboard. */
const hers: readonly What[] = [
  { do: 'assign', left: 'hers', right: 'right' },
  { do: 'start', name: 'hers', eager: true, configured: false, told: true },
  { do: 'plug', port: 1, kind: 'keyboard', told: true },
];

test('it is found out when nothing is taken from what is left of a container', () =>
  replaced(
    SeatWorker.prototype,
    'takeFromLingering',
    async () => true,
    async () => {
      const plugged: What = { do: 'plug', port: 2, kind: 'sound', told: true };
      const all = after(plugged, { do: 'lose-init', name: 'right', told: true });
      assert.ok(await findsFault(sound, { seed: 1, endOnFailure: true }, all));
    },
  ));

test('it is found out when what leaves a user’s container is not bound again', () =>
  replaced(
    Executor.prototype,
    'noteLoose',
    () => undefined,
    async () => {
      const all = after(...hers, { do: 'smuggle' });
      assert.ok(await findsFault(sound, { seed: 1, endOnFailure: true }, all));
    },
  ));

test('it is found out when a user may open what a seat has outside of its container', async () => {
  class Open extends Grants {
    override restrict(): void {}
  }
  const all = after(...hers);
  assert.ok(await findsFault({ ...sound, Grants: Open }, { seed: 1, endOnFailure: true }, all));
});

/** A receiver is plugged, and its keyboard and its mouse are for two seats. */
const parted: readonly What[] = [
  { do: 'want', port: 1, wish: { seats: ['left'], mice: ['right'], share: false, hidraw: true } },
  { do: 'plug', port: 1, kind: 'receiver', told: true },
];

test('it is found out when a raw node goes along with one of its inputs', () => {
  const { readAt } = DeviceTable.prototype;
  const readsOne = function (this: DeviceTable, raw: string): string[] {
    return readAt.call(this, raw).slice(0, 1);
  };
  return replaced(DeviceTable.prototype, 'readAt', readsOne, async () => {
    assert.ok(await findsFault(sound, { seed: 1, endOnFailure: true }, after(...parted)));
  });
});

test('it is found out when nobody asks at which raw node an input is heard', () => {
  const ofItAlone = function (this: Tenants, unit: string): ReadonlySet<string> {
    return this['seats'].get(unit);
  };
  return replaced(Tenants.prototype, 'of', ofItAlone, async () => {
    assert.ok(await findsFault(sound, { seed: 1, endOnFailure: true }, after(...parted)));
  });
});

test('it is found out when raw nodes are not guarded', async () => {
  class Unaware extends Grants {
    override cover(): void {}
  }
  assert.ok(await findsFault({ ...sound, Grants: Unaware }, { seed: 1, endOnFailure: true }, after(...parted)));
});

/** A seat's container has a keyboard open. */
const opened: readonly What[] = [
  { do: 'plug', port: 2, kind: 'keyboard', told: true },
  { do: 'open', name: 'right' },
];

test('it is found out when nothing is bound again that somebody may have been handed', async () => {
  const taken: Parts['taken'] = (revocation) => ({ ...revocation, handed: [] });
  const all = after(...opened, { do: 'hand', name: 'right', who: 'guest' });
  assert.ok(await findsFault({ ...sound, taken }, { seed: 1, endOnFailure: true }, all));
});

test('it is found out when whoever cannot be looked at has nothing', async () => {
  const found: Parts['found'] = (search) => ({ ...search, unseen: [] });
  const all = after(...opened, { do: 'veil', who: 'right', veil: 'endless' });
  assert.ok(await findsFault({ ...sound, found }, { seed: 1, endOnFailure: true }, all));
});

test('it is found out when a driver is bound again at which the kernel is kept busy', async () => {
  const taken: Parts['taken'] = (revocation) => ({ ...revocation, isHeldUp: false });
  const all = after(...opened, { do: 'busy', who: 'right', isBusy: true });
  assert.ok(await findsFault({ ...sound, taken }, { seed: 1, endOnFailure: true }, all));
});

test('it is found out when an unclear container is given something', () => {
  const { ensure } = Attachment.prototype;
  const unaware = function (this: Attachment, ...[now, ...rest]: Parameters<Attachment['ensure']>): Promise<void> {
    return ensure.call(this, { ...now, state: now.state === 'unclear' ? 'running' : now.state }, ...rest);
  };
  return replaced(Attachment.prototype, 'ensure', unaware, async () => {
    const all = after({ do: 'blur', name: 'right', told: true });
    assert.ok(await findsFault(sound, { seed: 1, endOnFailure: true }, all));
  });
});

test.run();
