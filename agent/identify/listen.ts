import { closeSync, constants, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { axisRange } from '../kernel/evdev.js';
import { type InputEvent, parseEvents, touchDetector } from './touch.js';

/** A person takes longer to press a key and let it go, ms. */
const lookEvery = 30;

/** The devices to listen to, the time, and a callback for the beginning. */
export interface Listening {
  /** Whether a node is to be listened to. */
  readonly wanted: (node: string) => boolean;
  readonly timeoutMs: number;
  readonly stop: AbortSignal;
  /** Called once all devices are listened to: each touch from then on is heard. */
  readonly begun: () => void;
  /** Where the nodes are; elsewhere in tests. */
  readonly directory?: string;
}

interface Ear {
  readonly fd: number;
  readonly touched: (event: InputEvent) => boolean;
}

/**
 * The first event node that somebody touches, `/dev/input/event3`; undefined when nobody did in time. Nodes that come
 * meanwhile count as well. It looks only whether a key was pressed, not which. Keys go to their seat as always: nothing
 * is grabbed. Needs root.
 */
export async function firstTouched({
  wanted,
  timeoutMs,
  stop,
  begun,
  directory = '/dev/input',
}: Listening): Promise<string | undefined> {
  const ears = new Map<string, Ear>();
  try {
    open(directory, ears, wanted);
    begun();
    const end = Date.now() + timeoutMs;
    while (Date.now() < end && !stop.aborted) {
      for (const [node, ear] of ears) {
        const events = heard(ear.fd);
        if (events === undefined) close(ears, node);
        else if (events.some(ear.touched)) return node;
      }
      await new Promise((resolve) => setTimeout(resolve, lookEvery));
      open(directory, ears, wanted);
    }
    return undefined;
  } finally {
    for (const node of [...ears.keys()]) close(ears, node);
  }
}

/** Opens the new devices. Keys that were pressed before that are not heard. */
function open(directory: string, ears: Map<string, Ear>, wanted: (node: string) => boolean): void {
  for (const name of readdirSync(directory)) {
    const node = join(directory, name);
    if (!/^event\d+$/.test(name) || ears.has(node) || !wanted(node)) continue;
    try {
      const fd = openSync(node, constants.O_RDONLY | constants.O_NONBLOCK);
      ears.set(node, { fd, touched: touchDetector((axis) => axisRange(fd, axis)) });
    } catch (error) {
      // It went meanwhile.
      if (!['ENOENT', 'ENODEV', 'ENXIO'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
}

/** Events of a device since the last question; undefined when it has gone, or was revoked because it changed hands. */
function heard(fd: number): InputEvent[] | undefined {
  const bytes = Buffer.alloc(64 * 24);
  try {
    return parseEvents(bytes.subarray(0, readSync(fd, bytes)));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? [] : undefined;
  }
}

function close(ears: Map<string, Ear>, node: string): void {
  const ear = ears.get(node);
  ears.delete(node);
  if (ear !== undefined) closeSync(ear.fd);
}
