import { existsSync, type FSWatcher, watch } from 'node:fs';
import udev from 'udev';
import { dropsOf, udevMonitor } from '../kernel/udev-monitor.js';
import { type ChildMessage, isOurs, overrunStatus, type RawEvent } from './messages.js';

/*
 * A process of its own around node-udev, because that addon ends the process when a listener throws or a monitor is
 * closed, and goes deaf for good, without a word, when the socket's buffer overruns once. So: listeners cannot throw,
 * close() is never called, and what our socket has lost is looked at whenever udevd stirs; an overrun ends this process.
 */

const settleMs = 100;
const slowMs = 30_000;

let batch: RawEvent[] = [];

function take(device: Readonly<Record<string, unknown>>): void {
  try {
    const { syspath, ...rest } = device;
    const properties = rest as Record<string, string>;
    const subsystem = properties['SUBSYSTEM'];
    if (typeof syspath !== 'string' || subsystem === undefined || !isOurs(subsystem)) return;
    if (batch.length === 0) setImmediate(flush);
    const receivedNs = String(process.hrtime.bigint());
    batch.push({ action: properties['ACTION'] ?? '', syspath, properties, receivedNs });
  } catch {
    // No text of a device may end this process. The parent's next look at everything finds lost messages.
  }
}

function flush(): void {
  const events = batch;
  batch = [];
  tell({ kind: 'events', events });
  stirred();
}

function tell(message: ChildMessage): void {
  process.send?.(message, (error: Error | null) => {
    if (error !== null) process.exit(1);
  });
}

function check(): void {
  pending = false;
  if (dropsOf(monitored) > 0) process.exit(overrunStatus);
  // While udevd has work nothing need stir, and a deaf socket brings no batch either: look again.
  if (existsSync('/run/udev/queue')) stirred();
}

let pending = false;
function stirred(): void {
  if (pending) return;
  pending = true;
  setTimeout(check, settleMs);
}

let watcher: FSWatcher | undefined;
/** udevd makes `queue` when it has work and removes it when it has none (systemd, udev-manager.c). */
function watchQueue(): void {
  try {
    watcher ??= watch('/run/udev', stirred).on('error', () => {
      watcher?.close();
      watcher = undefined;
    });
  } catch {
    // udevd has never run here; the slow timer tries again.
  }
}

process.on('disconnect', () => process.exit(0));
process.on('message', () => tell({ kind: 'here' }));
// The buffer may have overrun while this process was stopped, and a socket that is deaf by then brings no batch.
process.on('SIGCONT', stirred);
const monitor = udev.monitor();
for (const action of ['add', 'change', 'remove'] as const) monitor.on(action, take);
const found = udevMonitor();
if (found === undefined) {
  // libudev joins no group, without an error, where it finds no udevd at its start.
  console.error('libudev hears no udevd (no /run/udev/control, and /dev is not devtmpfs)');
  process.exit(1);
}
/** Our socket: looked up once, because descriptors are many and it stays the same. */
const monitored: number = found;
watchQueue();
setInterval(() => {
  watchQueue();
  stirred();
}, slowMs);
tell({ kind: 'listening' });
