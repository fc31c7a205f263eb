import { readdirSync, readFileSync, readlinkSync, watch } from 'node:fs';
import udev from 'udev';
import { type ChildMessage, type RawEvent, subsystems } from './messages.js';

/*
 * A process of its own around node-udev, because that addon ends the process when a listener throws or a monitor is
 * closed, and goes deaf for good, without a word, when the socket's buffer overruns once. So: listeners cannot throw,
 * close() is never called, and `Drops` of our socket is looked at whenever udevd stirs; an overrun ends this process.
 */

const settleMs = 100;
const slowMs = 30_000;

let batch: RawEvent[] = [];

function take(device: Readonly<Record<string, unknown>>): void {
  try {
    const { syspath, ...rest } = device;
    const properties = rest as Record<string, string>;
    const subsystem = properties['SUBSYSTEM'];
    if (typeof syspath !== 'string' || subsystem === undefined || !subsystems.includes(subsystem)) return;
    if (batch.length === 0) setImmediate(flush);
    const receivedNs = String(process.hrtime.bigint());
    batch.push({ action: properties['ACTION'] ?? '', syspath, properties, receivedNs });
  } catch {
    // Nothing that a device says may end this process; the parent's next look at everything finds what was lost.
  }
}

function flush(): void {
  const events = batch;
  batch = [];
  tell({ kind: 'events', events });
}

function tell(message: ChildMessage): void {
  process.send?.(message, (error: Error | null) => {
    if (error !== null) process.exit(1);
  });
}

/** Messages that the kernel could not put into our socket: `Drops` in /proc/net/netlink, found by the socket's inode. */
function drops(): number {
  const own = new Set<string>();
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
      if (inode !== undefined) own.add(inode);
    } catch {
      // The descriptor of the listing itself.
    }
  }
  let sum = 0;
  for (const line of readFileSync('/proc/self/net/netlink', 'utf8').split('\n').slice(1)) {
    const [, protocol, , groups, , , , , dropped, inode] = line.trim().split(/\s+/);
    if (protocol === '15' && groups === '00000002' && inode !== undefined && own.has(inode)) sum += Number(dropped);
  }
  return sum;
}

function check(): void {
  const dropped = drops();
  if (dropped === 0) return;
  process.send?.({ kind: 'overrun', drops: dropped } satisfies ChildMessage, () => process.exit(0));
}

let timer: NodeJS.Timeout | undefined;
function stirred(): void {
  clearTimeout(timer);
  timer = setTimeout(check, settleMs);
}

process.on('disconnect', () => process.exit(0));
const monitor = udev.monitor();
for (const action of ['add', 'change', 'remove'] as const) monitor.on(action, take);
// udevd makes `queue` when it has work and removes it when it has none (systemd, udev-manager.c).
watch('/run/udev', stirred);
setInterval(check, slowMs);
tell({ kind: 'listening' });
