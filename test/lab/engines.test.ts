import { basename } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Bench, type Class, classes } from './bench.js';
import type { Process } from './channel.js';
import { script, type Variant, variants } from './engine-variants.js';
import { seats } from './lab.js';
import { gpu } from './machine.js';
import { preparedEngines } from './prepared.js';
import { pause } from './probes.js';

// One suite for every engine: what is promised for a container must not depend on who runs it, nor on who ran before it,
// so that each has a PC of its own. HOTSEAT_ENGINES, a part of some titles separated by bars, runs these only.
const parts = (process.env['HOTSEAT_ENGINES'] ?? '').split('|');
const chosen = variants.filter(({ title }) => parts.some((part) => title.includes(part)));
let lab = await preparedEngines();

const anotherPc = async (): Promise<void> => {
  await lab.stop();
  lab = await preparedEngines();
};

/** How a second device of each class comes and goes. */
const things: Readonly<Record<Class, { plug: () => Promise<unknown>; unplug: () => Promise<unknown> }>> = {
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
};

const steps = ['cold plug', 'plug', 'isolation', 'unplug', 'move', 'agent restart', 'container restart'] as const;
type Step = (typeof steps)[number];
const table = new Map<string, string>();
const cell = (variant: Variant, step: Step, kind: Class) => `${variant.title} ${step} ${kind}`;

for (const variant of chosen) {
  const bench = new Bench(() => lab, variant);
  const first = new Map<Class, string>();
  const second = new Map<Class, string>();
  let monitor: Process;
  let ready = false;
  let began = 0;

  /** A cell of the table for each class: `act` happens once, and every class is looked at after it. */
  const step = (name: Step, act: () => Promise<void>, check: (kind: Class, node: string) => Promise<void>): void => {
    let acted: Promise<void> | undefined;
    for (const kind of classes) {
      test(`${variant.title}: ${name}, ${kind}`, async () => {
        table.set(cell(variant, name, kind), 'FAILED');
        if (name !== 'cold plug') assert.ok(ready, 'its containers did not start');
        acted ??= act();
        await acted;
        await check(kind, first.get(kind) ?? '');
        table.set(cell(variant, name, kind), 'ok');
      });
    }
  };

  step(
    'cold plug',
    async () => {
      began = Date.now();
      await bench.rule();
      await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'keyboard' });
      await lab.plug({ seat: 'left', driver: 'usb-audio', id: 'headset' });
      await things.graphics.unplug();
      for (const seat of seats) await script(lab, bench.name(seat), variant.prepare);
      assert.match((await bench.seat('left'))?.reason ?? '', /is running|not installed/);
      for (const seat of seats) await bench.start(seat);
      ready = true;
    },
    async (kind) => {
      first.set(kind, await bench.newNode('left', kind));
      await bench.has('left', first.get(kind) ?? '');
    },
  );

  step(
    'plug',
    async () => {
      monitor = await bench.listen('left');
    },
    async (kind, node) => {
      await things[kind].plug();
      second.set(kind, await bench.newNode('left', kind, [node]));
      await bench.heard(monitor, 'add', second.get(kind) ?? '');
      await bench.has('left', second.get(kind) ?? '');
    },
  );

  step(
    'isolation',
    async () => undefined,
    async (_kind, node) => {
      assert.is(await bench.inside('right', `test -e ${node}`), undefined, 'the neighbour sees the node');
      const theft = await bench.stealing('right', await bench.numberOf(node));
      assert.equal(theft, { made: false, opened: false, control: true });
    },
  );

  step(
    'unplug',
    async () => undefined,
    async (kind) => {
      const node = second.get(kind) ?? '';
      await things[kind].unplug();
      await bench.heard(monitor, 'remove', node);
      assert.is(await bench.inside('left', `test -e ${node}`), undefined, 'the node is still there');
    },
  );

  step(
    'move',
    () => bench.rule(true),
    async (kind, node) => {
      assert.is(await bench.newNode('right', kind), node);
      await bench.has('right', node);
      assert.is(await bench.inside('left', `test -e ${node}`), undefined, 'the node is still at the old seat');
      const theft = await bench.stealing('left', await bench.numberOf(node));
      assert.equal(theft, { made: false, opened: false, control: true });
    },
  );

  let again = '';
  step(
    'agent restart',
    async () => {
      await bench.rule();
      for (const kind of classes) await bench.newNode('left', kind);
      const before = await settled(monitor);
      await lab.sh('systemctl restart hotseat', { timeoutMs: 90_000 });
      await lab.until('the seat', async () => (await bench.seat('left'))?.state === 'running');
      again = (await settled(monitor)).slice(before.length);
    },
    async (kind, node) => {
      await bench.has('left', node);
      assert.is(again, '', 'something was announced again');
      await things[kind].plug();
      const third = await bench.newNode('left', kind, [node]);
      await bench.has('left', third);
      await bench.heard(monitor, 'add', third);
      await things[kind].unplug();
      await bench.heard(monitor, 'remove', third);
    },
  );

  let wordsBefore: number | undefined;
  step(
    'container restart',
    async () => {
      // What entered from outside does not end with the container's processes, and would hold its pid namespace.
      await monitor.kill();
      await lab.until('its own events to be heard', async () => {
        wordsBefore = await bench.words();
        return wordsBefore !== undefined;
      });
      await bench.stop('left');
      await lab.until('the seat to wait', async () => (await bench.seat('left'))?.state === 'waiting');
      await bench.start('left');
    },
    async (kind, node) => {
      assert.is(await bench.newNode('left', kind), node);
      await bench.has('left', node);
    },
  );

  test(`${variant.title}: it was heard to say so itself`, async () => {
    assert.ok(wordsBefore !== undefined, 'it was not listened to');
    const words = (await bench.words()) ?? 0;
    // An end and a start.
    assert.ok(words >= wordsBefore + 2, `${wordsBefore} words before, ${words} now`);
  });

  // Of all that an engine says, this is what no cgroup tells of.
  if (variant.engine === 'docker') {
    test(`${variant.title}: a container that is renamed is no longer the seat's, and is it again`, async () => {
      const name = bench.name('left');
      const node = first.get('input') ?? '';
      const reader = lab.start(bench.argv('left', 'cat', node));
      const open = () => bench.inside('left', `ls -l /proc/[0-9]*/fd | grep ${node}$`);
      await lab.until('it to be read', async () => (await open()) !== undefined);
      await script(lab, name, 'docker rename $name other');
      assert.match((await reader.done).stderr, /No such device/);
      await lab.until('the seat to wait', async () => (await bench.seat('left'))?.state === 'waiting', 10_000);
      for (const node of first.values()) {
        assert.is(await bench.inside('left', `exec 3<${node}`), undefined, `${node} still opens`);
      }
      await script(lab, name, 'docker rename other $name');
      await lab.until('the seat to have it', async () => (await bench.seat('left'))?.state === 'running', 10_000);
      for (const [kind, node] of first) {
        assert.is(await bench.newNode('left', kind), node);
        await bench.has('left', node);
      }
    });
  }

  // systemd attaches its own device programs anew then, and one of ours was in the place of the former one.
  if (variant.engine === 'nspawn') {
    test(`${variant.title}: a slice above it that forbids devices, and systemctl daemon-reload, take nothing away for long`, async () => {
      assert.ok(ready, 'its containers did not start');
      await lab.sh('systemctl set-property --runtime machine.slice DeviceAllow=/dev/null && systemctl daemon-reload');
      await lab.until('all to open again', async () => {
        for (const node of first.values())
          if ((await bench.inside('left', `exec 3<${node}`)) === undefined) return false;
        return true;
      });
      for (const node of first.values()) {
        const theft = await bench.stealing('right', await bench.numberOf(node));
        assert.equal(theft, { made: false, opened: false, control: true });
      }
    });
  }

  test(`${variant.title}: its containers stop, and its seats wait`, async () => {
    try {
      for (const seat of seats) await bench.stop(seat);
      await lab.until('both seats to wait', async () =>
        (await Promise.all(seats.map((seat) => bench.seat(seat)))).every((seat) => seat?.state === 'waiting'),
      );
    } finally {
      await anotherPc();
      console.log(`${variant.title}: ${((Date.now() - began) / 60_000).toFixed(1)} minutes`);
    }
  });
}

// An announcement into a network namespace that is the host's would be heard by the host's own listeners.
const podman = variants.find(({ title }) => title === 'podman');
const shared: Variant | undefined = podman && {
  ...podman,
  title: 'podman, host network',
  start: podman.start.replace('--network none', '--network host'),
};
if (shared !== undefined && parts.some((part) => shared.title.includes(part))) {
  test(`${shared.title}: it has its device, the host is not told of it by us, and status says why`, async () => {
    const bench = new Bench(() => lab, shared);
    await bench.rule();
    await script(lab, bench.name('left'), shared.prepare);
    await bench.start('left');
    await lab.until('the reason', async () =>
      /shares the host's network/.test((await bench.seat('left'))?.problem ?? ''),
    );
    const monitor = lab.start(['udevadm', 'monitor', '--udev']);
    await lab.until('udevadm to listen', async () => monitor.stdout.includes('UDEV - '), 30_000);
    await lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'shared' });
    let node: string | undefined;
    await lab.until('the node', async () => {
      node = (await bench.seat('left'))?.devices.map((device) => device.node).find((name) => name?.includes('/event'));
      return node !== undefined && (await bench.inside('left', `test -e ${node}`)) !== undefined;
    });
    assert.ok(node !== undefined);
    await bench.has('left', node);
    await bench.heard(monitor, 'add', node);
    await pause(2000);
    assert.is(times(monitor, 'add', node), 1, 'heard once, from udevd');
    await monitor.kill();
    await lab.unplug('shared');
    await bench.stop('left');
  });
}

/** How often a monitor has heard of a node. */
const times = (monitor: Process, action: 'add' | 'remove', node: string): number =>
  monitor.stdout.split('\n').filter((line) => line.includes(` ${action} `) && line.includes(`/${basename(node)} `))
    .length;

/** What a monitor has printed, once nothing has been added for a while. */
async function settled(monitor: Process): Promise<string> {
  for (;;) {
    const before = monitor.stdout;
    await pause(3000);
    if (monitor.stdout === before) return before;
  }
}

test.after(async () => {
  console.log(`\n| engine | devices | ${steps.join(' | ')} |\n|---|---${'|---'.repeat(steps.length)}|`);
  for (const variant of chosen) {
    for (const kind of classes) {
      const cells = steps.map((name) => table.get(cell(variant, name, kind)) ?? 'not run');
      console.log(`| ${variant.title} | ${kind} | ${cells.join(' | ')} |`);
    }
  }
  await lab.stop();
});
test.run();
