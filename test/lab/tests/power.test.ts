// The state of a PC after it was off, by its own system and by the plug: the seats, and a desktop of the host beside
// them.

import * as assert from 'uvu/assert';
import { type Seat, seats } from '../driver/lab.js';
import { preparedLab } from '../driver/prepared.js';
import { HOTSEAT_UNIT, inputs, seatStatus, status } from '../driver/service.js';
import { test } from '../driver/test.js';
import { traces } from '../driver/traces.js';
import { desktopHasItsOwn, installDesktop } from './desktop.js';

const lab = await preparedLab();

/** How often it boots, at least twice. */
const boots = Number(process.env['HOTSEAT_LAB_BOOTS'] ?? 2);

const things = seats.flatMap((seat) =>
  [1, 2, 3, 4, 5, 6, 7].map((port) => ({
    seat,
    port,
    id: `${seat}-${port}`,
    driver: port % 2 === 0 ? 'usb-mouse' : 'usb-kbd',
  })),
);
/** A keyboard has an event node, a mouse has a mouse node as well. */
const nodesPerSeat = 10;
const plugAll = async () => {
  for (const thing of things) await lab.plug(thing);
};

const inputNodes = async (seat: Seat): Promise<string[]> =>
  ((await seatStatus(lab, seat))?.devices ?? []).flatMap(({ node, announced }) =>
    announced && node?.startsWith('/dev/input/') ? [node] : [],
  );
const bound = async (): Promise<number> => (await Promise.all(seats.map(inputNodes))).flat().length;

/** The devices at a seat, as the kernel says: its hub and its card have a place of their own in sysfs. */
const plugged = (seat: Seat) =>
  lab.sh(`for node in /sys/class/input/event* /sys/class/input/mouse* /sys/class/drm/card? /sys/class/drm/renderD*; do
    case $(realpath $node) in ${seat === 'left' ? '*/1-1.*|*/0000:00:03.0/*' : '*/1-2.*|*/0000:00:04.0/*'}) basename $node;; esac
  done | sort`);
const inside = async (seat: Seat) => {
  const script = 'find /dev/input /dev/dri -type c -printf "%f\\n" | sort';
  return (await lab.inContainer(seat, ['sh', '-c', script])).stdout.trim();
};

/** Both seats have exactly their plugged devices: for the agent, in their containers and in their Xorgs. */
async function exact(count: number): Promise<void> {
  await lab.until('the agent', async () => (await status(lab).catch(() => undefined)) !== undefined, 120_000);
  await lab.until('all bindings', async () => (await bound()) === count * seats.length, 120_000);
  for (const seat of seats) {
    assert.is(await inside(seat), await plugged(seat));
    await inputs(lab, seat, count === 0 ? 0 : things.length / seats.length, 120_000);
  }
  assert.equal((await status(lab)).conflicts, []);
}

/** All of ours, without numbers that a boot may change: mounts and descriptors of the PC's other programs. */
async function leftOver() {
  const { mounts: _, descriptors: __, ...ours } = await traces(lab);
  return { ...ours, files: await lab.sh('find /etc/hotseat /var/lib/hotseat -printf "%p %y\\n" | sort') };
}

test.before(async () => {
  // As on a PC that is not the lab's: the agent comes before lxc.service, and that before every container.
  await lab.sh(`systemctl is-enabled ${HOTSEAT_UNIT}; systemctl unmask lxc; systemctl enable lxc@left lxc@right`);
  for (const seat of seats) await lab.inContainer(seat, ['systemctl', 'enable', 'xorg', 'term']);
  await installDesktop(lab);
});

/** Says how many nodes there are as soon as there are four, having written a file with and one without fsync. */
const watcher = `
import glob, os, time
print("counting", flush=True)
count = 0
while count < 4:
    time.sleep(0.01)
    count = len(glob.glob("/run/hotseat/seats/*/dev/input/*[0-9]"))
with open("/root/fsynced", "w") as file:
    file.write("kept")
    file.flush()
    os.fsync(file.fileno())
with open("/root/not-fsynced", "w") as file:
    file.write("lost")
print(count)`;

/** At both seats nothing was plugged yet. */
let empty: Awaited<ReturnType<typeof leftOver>>;

test('after a power cut in the middle of twenty bindings both seats have exactly their devices', async () => {
  empty = await leftOver();
  await lab.sh('sync');
  const watching = lab.start(['python3', '-c', watcher]);
  await lab.until('somebody to count', async () => watching.stdout.includes('counting'));
  await plugAll();
  const before = Number((await watching.done).stdout.split('\n')[1]);
  await lab.powerCut();
  console.log(`cut after ${before} of ${nodesPerSeat * seats.length} bindings`);
  assert.ok(before < nodesPerSeat * seats.length, 'all was over: this shows nothing');
  await exact(nodesPerSeat);
  await desktopHasItsOwn(lab);
});

test('a file that was fsynced before that cut is on the disk, one that was not is not', async () => {
  assert.is(await lab.sh('cat /root/fsynced'), 'kept');
  assert.is(await lab.sh('cat /root/not-fsynced 2>/dev/null || true'), '');
});

test('after a reboot they have the same, and nothing of the boot before is left over', async () => {
  const whole = await leftOver();
  await lab.reboot();
  await exact(nodesPerSeat);
  await desktopHasItsOwn(lab);
  assert.equal(await leftOver(), whole);
});

for (let boot = 3; boot <= boots; boot += 1) {
  test(`at boot ${boot} of ${boots} the seats and the host’s desktop have the same`, async () => {
    await lab.powerCut();
    await exact(nodesPerSeat);
    await desktopHasItsOwn(lab);
  });
}

test('when all is pulled out, nothing is left over', async () => {
  await lab.unplug(...things.map(({ id }) => id));
  await exact(0);
  assert.equal(await leftOver(), empty);
});

test.after(() => lab.stop());
test.run();
