import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { seats } from './lab.js';
import { preparedLab } from './prepared.js';
import { status } from './service.js';

const lab = await preparedLab();
const rounds = 25;
const perSeat = 4;

/** Everything that could be left behind, as the host sees it. */
async function traces(): Promise<{ counts: Record<string, number>; rssKiB: number }> {
  const { pid } = await status(lab);
  const script = `
    echo nodes $(find /run/hotseat/seats/*/dev -type c | wc -l)
    echo records $(find /run/hotseat/seats/*/udev/data -type f | wc -l)
    echo tags $(find /run/hotseat/seats/*/udev/tags -type f | wc -l)
    echo strays $(find /run/hotseat -name '.hotseat-*' | wc -l)
    echo journal $(find /run/hotseat/journal -type f | wc -l)
    echo rules $(ls /run/udev/rules.d | wc -l)
    echo programs $(bpftool prog show | grep -c 'name hotseat')
    echo entries $(bpftool map dump name hotseat_grants -j | python3 -c 'import json,sys; print(len(json.load(sys.stdin)))')
    echo mounts $(wc -l < /proc/self/mountinfo)
    echo descriptors $(ls /proc/${pid}/fd | wc -l)
    echo rss $(awk '/VmRSS/ {print $2}' /proc/${pid}/status)`;
  const lines = (await lab.sh(script)).split('\n').map((line) => line.trim().split(' '));
  const { rss = 0, ...counts } = Object.fromEntries(lines.map(([name = '', count]) => [name, Number(count)]));
  return { counts, rssKiB: rss };
}

/** Waits until both seats together have this many event nodes. */
const events = (count: number) =>
  lab.until(
    `${count} event nodes`,
    async () => Number(await lab.sh('ls /run/hotseat/seats/*/dev/input/ | grep -c event || true')) === count,
    60_000,
  );

async function round(number: number): Promise<void> {
  const ids = seats.flatMap((seat) =>
    Array.from({ length: perSeat }, (_, index) => ({ seat, id: `${seat}-${number}-${index}`, mouse: index % 2 === 1 })),
  );
  for (const { seat, id, mouse } of ids) await lab.plug({ seat, id, driver: mouse ? 'usb-mouse' : 'usb-kbd' });
  await events(ids.length);
  for (const { id } of ids) await lab.unplug(id);
  await events(0);
}

test(`${rounds * perSeat * seats.length} plug and unplug cycles leave nothing behind, and memory stays flat`, async () => {
  await round(0);
  await lab.settled();
  const before = await traces();
  for (let number = 1; number <= rounds; number++) await round(number);
  await lab.settled();
  const after = await traces();
  console.log(`resident: ${before.rssKiB} KiB before, ${after.rssKiB} KiB after; ${JSON.stringify(after.counts)}`);
  assert.equal(after.counts, before.counts);
  // A garbage-collected heap breathes; a leak of 200 devices' worth of anything does not fit into this.
  assert.ok(after.rssKiB < before.rssKiB + 30 * 1024);
});

test.after(() => lab.stop());
test.run();
