import { closeSync } from 'node:fs';
import type { JournalEntry } from '../core/step.js';
import type { Container } from '../engines/engine.js';
import { sendUevent } from '../kernel/netlink.js';
import { encode } from '../udev/datagram.js';

/**
 * Speaks as udevd to everybody who listens in one container's network namespace. The socket was made in there and is
 * kept; its messages carry the host id of the container's root, which reads as root inside (libudev checks that).
 */
export class Announcer {
  private sequence = 0;

  constructor(
    private readonly socket: number,
    private readonly container: Container,
  ) {}

  announce(action: 'add' | 'change' | 'remove', entry: JournalEntry): void {
    this.sequence += 1;
    const properties = { ...entry.properties, SEQNUM: String(this.sequence) };
    sendUevent(this.socket, encode(action, properties, entry.tags), {
      uid: this.container.uid,
      gid: this.container.gid,
    });
  }

  close(): void {
    closeSync(this.socket);
  }
}
