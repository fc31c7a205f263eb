import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { seats } from '../driver/lab.js';
import { guestFiles } from '../driver/paths.js';
import { preparedLab } from '../driver/prepared.js';
import { HOTSEAT_UNIT, policyDirectory, reload, status } from '../driver/service.js';
import { test } from '../driver/test.js';
import { traces } from '../driver/traces.js';

const lab = await preparedLab();
/**
 * Bytes of the agent's heap that something refers to: the rest of the process is garbage that nobody collected yet.
 */
async function liveHeap(): Promise<number> {
  const { pid } = await status(lab);
  const bytes = Number(await lab.sh(`python3 /root/live-heap.py ${pid} /run`, { timeoutMs: 120_000 }));
  assert.ok(bytes > 1e6);
  return bytes;
}

const resident = async (): Promise<string> =>
  lab.sh(`awk '/VmRSS/ {print $2}' /proc/${(await status(lab)).pid}/status`);

/** Waits until both seats together have this many event nodes. */
const events = (count: number) =>
  lab.until(
    `${count} event nodes`,
    async () => Number(await lab.sh('ls /run/hotseat/seats/*/dev/input/ | grep -c event || true')) === count,
    60_000,
  );

/** A round at USB ports takes 6 s, and 20 s on a busy machine; a hang in it ends by itself after 60 s. */
const probe = (what: 'cycle' | 'ports', count: number) =>
  lab.guest(['python3', '/root/virtual.py', what, String(count), ...seats], { timeoutMs: count * 120_000 });

/** Four devices a round, of uinput's making: they come and go as quickly as udevd can follow, which USB's never do. */
async function quick(rounds: number): Promise<void> {
  await probe('cycle', rounds);
  await lab.settled();
}

/** Eight USB devices at eight ports: plugged, cut off and let in again by the USB core so many times, unplugged. */
async function ports(number: number, again: number): Promise<void> {
  const ids = seats.flatMap((seat) =>
    Array.from({ length: 4 }, (_, index) => ({ seat, id: `${seat}-${number}-${index}`, mouse: index % 2 === 1 })),
  );
  for (const { seat, id, mouse } of ids) await lab.plug({ seat, id, driver: mouse ? 'usb-mouse' : 'usb-kbd' });
  await events(ids.length);
  await probe('ports', again);
  await lab.unplug(...ids.map(({ id }) => id));
  await events(0);
}

test.before(async () => {
  for (const name of ['virtual.py', 'live-heap.py'])
    await lab.putFile(`/root/${name}`, await readFile(join(guestFiles, 'probes', name)));
  const snapshots = '[Service]\nEnvironment=NODE_OPTIONS=--heapsnapshot-signal=SIGUSR2\nWorkingDirectory=/run\n';
  await lab.putFile(`/etc/systemd/system/${HOTSEAT_UNIT}.d/heap.conf`, snapshots);
  await lab.sh(`systemctl daemon-reload; systemctl restart ${HOTSEAT_UNIT}`, { timeoutMs: 120_000 });
  for (const seat of seats) {
    const file = `${policyDirectory}/${seat}.yaml`;
    const rule = `  - { label: cycles, match: { subsystem: input, NAME: '?cycle ${seat} *' } }\n`;
    await lab.putFile(file, `${await lab.sh(`cat ${file}`)}\n${rule}`);
  }
  await reload(lab);
});

test('152 cycles, 64 of them at eight USB ports, leave nothing behind, and memory stays flat', async () => {
  // V8 compiles what runs often, more of it each time: the first part is for that.
  await ports(0, 4);
  await quick(11);
  const before = { traces: await traces(lab), heap: await liveHeap() };
  for (let part = 1; part <= 2; part++) {
    await ports(part, 4);
    await quick(11);
    console.log(`${part * 76} cycles, resident ${await resident()} KiB`);
  }
  const after = { traces: await traces(lab), heap: await liveHeap() };
  console.log(`live heap: ${before.heap} bytes before, ${after.heap} after; ${JSON.stringify(after.traces)}`);
  assert.equal(after.traces, before.traces);
  // Code that V8 still compiled meanwhile is a part of it; as little as 7 KB kept of every device would not fit into this.
  assert.ok(after.heap < before.heap + 1e6);
});

test.after(() => lab.stop());
test.run();
