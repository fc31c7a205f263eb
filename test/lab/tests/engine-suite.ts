// One suite for every engine, run in a file for each: the promises for a container must not depend on its engine.

import { basename, dirname } from 'node:path';
import * as assert from 'uvu/assert';
import type { Process } from '../driver/channel.js';
import { type Class, classes, EngineSeats } from '../driver/engine-seats.js';
import { script, type Variant, variants } from '../driver/engine-variants.js';
import { type Lab, seats } from '../driver/lab.js';
import { gpu } from '../driver/machine.js';
import { preparedEngines } from '../driver/prepared.js';
import { test } from '../driver/test.js';

/** An engine's containers at work, for tests of this engine's peculiarities. */
export interface Suite {
  readonly lab: Lab;
  readonly variant: Variant;
  readonly engine: EngineSeats;
  /** The node of each class that the left seat has all the time. */
  readonly first: ReadonlyMap<Class, string>;
}

export interface More {
  /** Adds tests with the containers running. */
  readonly running?: (suite: Suite) => void;
  /** Adds tests after both have been stopped. */
  readonly stopped?: (suite: Suite) => void;
}

/** For each directory in /dev, the subsystem of its devices in udevadm's monitor. */
const subsystems: Readonly<Record<string, string>> = { input: 'input', snd: 'sound', dri: 'drm' };

/** How a second device of each class comes and goes. */
const thingsOf = (
  lab: Lab,
): Readonly<Record<Class, { plug: () => Promise<unknown>; unplug: () => Promise<unknown> }>> => ({
  input: {
    plug: () => lab.plug({ seat: 'left', driver: 'usb-mouse', id: 'mouse' }),
    unplug: () => lab.unplug('mouse'),
  },
  sound: {
    plug: () => lab.plug({ seat: 'left', driver: 'usb-audio', id: 'speakers' }),
    unplug: () => lab.unplug('speakers'),
  },
  graphics: {
    plug: () => lab.sh('echo 1 > /sys/bus/pci/rescan'),
    unplug: () => lab.sh(`echo 1 > /sys/bus/pci/devices/${gpu.right.pci}/remove`),
  },
});

/** Runs the suite for the variant of this title, on a PC of its own. */
export async function engineSuite(title: string, more: More = {}): Promise<void> {
  const variant = variants.find((candidate) => candidate.title === title);
  if (variant === undefined) throw new Error(`no engine variant ${title}`);
  const lab = await preparedEngines();
  const things = thingsOf(lab);
  const engine = new EngineSeats(lab, variant);
  const first = new Map<Class, string>();
  const second = new Map<Class, string>();
  let monitor: Process;
  let ready = false;

  /** A test for each class: `act` happens once, and every class is looked at after it. */
  const step = (name: string, act: () => Promise<void>, check: (kind: Class, node: string) => Promise<void>): void => {
    let acted: Promise<void> | undefined;
    for (const kind of classes) {
      test(`${title}: ${name}, ${kind}`, async () => {
        if (name !== 'cold plug') assert.ok(ready, 'its containers did not start');
        acted ??= act();
        await acted;
        await check(kind, first.get(kind) ?? '');
      });
    }
  };

  step(
    'cold plug',
    async () => {
      await engine.rule();
      await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'keyboard' });
      await lab.plug({ seat: 'left', driver: 'usb-audio', id: 'headset' });
      await things.graphics.unplug();
      for (const seat of seats) await script(lab, engine.name(seat), variant.prepare);
      assert.match((await engine.seat('left'))?.reason ?? '', /is running|not installed/);
      for (const seat of seats) await engine.start(seat);
      ready = true;
    },
    async (kind) => {
      first.set(kind, await engine.newNode('left', kind));
      await engine.has('left', first.get(kind) ?? '');
    },
  );

  step(
    'plug',
    async () => {
      monitor = await engine.listen('left');
    },
    async (kind, node) => {
      await things[kind].plug();
      second.set(kind, await engine.newNode('left', kind, [node]));
      await engine.heard(monitor, 'add', second.get(kind) ?? '');
      await engine.has('left', second.get(kind) ?? '');
    },
  );

  step(
    'isolation',
    async () => undefined,
    async (_kind, node) => {
      assert.is(await engine.inside('right', `test -e ${node}`), undefined, 'the neighbour sees the node');
      const theft = await engine.stealing('right', await engine.numberOf(node));
      assert.equal(theft, { made: false, opened: false, control: true });
    },
  );

  step(
    'unplug',
    async () => undefined,
    async (kind) => {
      const node = second.get(kind) ?? '';
      await things[kind].unplug();
      await engine.heard(monitor, 'remove', node);
      assert.is(await engine.inside('left', `test -e ${node}`), undefined, 'the node is still there');
    },
  );

  step(
    'move',
    () => engine.rule(true),
    async (kind, node) => {
      assert.is(await engine.newNode('right', kind), node);
      await engine.has('right', node);
      assert.is(await engine.inside('left', `test -e ${node}`), undefined, 'the node is still at the old seat');
      const theft = await engine.stealing('left', await engine.numberOf(node));
      assert.equal(theft, { made: false, opened: false, control: true });
    },
  );

  /** The devices of the left seat before the agent was restarted, as at the ends of the monitor's lines. */
  let known: string[] = [];
  let heardBefore = 0;
  step(
    'agent restart',
    async () => {
      await engine.rule();
      for (const kind of classes) await engine.newNode('left', kind);
      const nodes = (await engine.seat('left'))?.devices.flatMap(({ node }) => node ?? []) ?? [];
      for (const node of nodes) await engine.heard(monitor, 'add', node);
      known = nodes.map((node) => `/${basename(node)} (${subsystems[basename(dirname(node))]})`);
      heardBefore = monitor.stdout.length;
      await lab.sh('systemctl restart hotseat', { timeoutMs: 90_000 });
      await lab.until('the seat', async () => (await engine.seat('left'))?.state === 'running');
    },
    async (kind, node) => {
      await engine.has('left', node);
      await things[kind].plug();
      const third = await engine.newNode('left', kind, [node]);
      await engine.has('left', third);
      await engine.heard(monitor, 'add', third);
      // Messages keep their order: a repeated message came before this one.
      const again = monitor.stdout
        .slice(heardBefore)
        .split('\n')
        .filter((line) => known.some((end) => line.endsWith(end)));
      assert.equal(again, [], 'something was announced again');
      await things[kind].unplug();
      await engine.heard(monitor, 'remove', third);
    },
  );

  let wordsBefore: number | undefined;
  step(
    'container restart',
    async () => {
      // A process that entered from outside does not end with the container's processes, and would hold its pid
      // namespace.
      await monitor.kill();
      await lab.until('its own events to be heard', async () => {
        wordsBefore = await engine.words();
        return wordsBefore !== undefined;
      });
      await engine.stop('left');
      await lab.until('the seat to wait', async () => (await engine.seat('left'))?.state === 'waiting');
      await engine.start('left');
    },
    async (kind, node) => {
      assert.is(await engine.newNode('left', kind), node);
      await engine.has('left', node);
    },
  );

  test(`${title}: it was heard to say so itself`, async () => {
    assert.ok(wordsBefore !== undefined, 'it was not listened to');
    const words = (await engine.words()) ?? 0;
    // An end and a start.
    assert.ok(words >= wordsBefore + 2, `${wordsBefore} words before, ${words} now`);
  });

  const suite: Suite = { lab, variant, engine, first };
  more.running?.(suite);

  test(`${title}: its containers stop, and its seats wait`, async () => {
    for (const seat of seats) await engine.stop(seat);
    await lab.until('both seats to wait', async () =>
      (await Promise.all(seats.map((seat) => engine.seat(seat)))).every((seat) => seat?.state === 'waiting'),
    );
  });
  more.stopped?.(suite);

  test.after(() => lab.stop());
  test.run();
}
