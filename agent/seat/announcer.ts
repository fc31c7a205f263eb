import { closeSync } from 'node:fs';
import type { JournalEntry } from '../core/step.js';
import type { Container } from '../engines/engine.js';
import { encode } from '../udev/datagram.js';
import { encodeKernel } from '../udev/kernel-uevent.js';
import type { Effects } from './effects.js';

/** The container could not be told of something. */
export class Untold extends Error {
  override name = 'Untold';
}

/**
 * Speaks in one container's network namespace: as udevd to all programs that listen to a udevd; or as the kernel to the
 * container's own udevd, where it runs one. The socket was made in there and is kept; its messages carry the host id of
 * the container's root, which reads as root inside (libudev checks that).
 */
export class Announcer {
  private sequence = 0;

  constructor(
    private readonly socket: number,
    private readonly container: Container,
    readonly as: 'udevd' | 'kernel',
    private readonly effects: Pick<Effects, 'injectUevent' | 'sendUevent'>,
  ) {}

  /** Throws `Untold` when nobody can hear it. */
  announce(action: 'add' | 'change' | 'remove', entry: JournalEntry): void {
    try {
      this.say(action, entry);
    } catch (error) {
      throw new Untold((error as Error).message, { cause: error });
    }
  }

  private say(action: 'add' | 'change' | 'remove', entry: JournalEntry): void {
    const { uid, gid } = this.container;
    if (this.as === 'kernel') {
      this.effects.injectUevent(this.socket, encodeKernel(action, entry.properties), { uid, gid });
      return;
    }
    this.sequence += 1;
    const properties = { ...entry.properties, SEQNUM: String(this.sequence) };
    this.effects.sendUevent(this.socket, encode(action, properties, entry.tags), { uid, gid });
  }

  close(): void {
    closeSync(this.socket);
  }
}
