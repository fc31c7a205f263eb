import { type Accounts, accessOf } from '../core/access.js';
import type { Rule } from '../core/policy.js';
import type { SeatDirectory } from './directory.js';

/**
 * The socket at which the display server of a seat gets its lease, `/dev/dri/hotseat` in the container. The holder makes it and
 * serves it; the agent puts it where the seat sees it, because it clears away there whatever is not its own doing.
 */
export class Outlet {
  constructor(
    private readonly directory: SeatDirectory,
    private readonly accounts: () => Accounts,
  ) {}

  /** Where the holder shall make it. */
  get draft(): string {
    return this.directory.leaseDraft;
  }

  /** Inode of what the container sees; undefined while there is none. */
  get shown(): string | undefined {
    return this.directory.leaseSocket?.inode;
  }

  /** Shows what the holder has made, if it is not shown yet. */
  show(inode: string): void {
    if (this.shown !== inode) this.directory.showLeaseSocket();
  }

  /** Whoever could open the card's node by this rule may ask for a lease. */
  permit(rule: Rule): void {
    const now = this.directory.leaseSocket;
    if (now === undefined) return;
    // Names that the container does not have are said of what it gets as nodes.
    const wanted = accessOf(rule, 'drm', 'card0', this.accounts(), () => undefined);
    if (now.uid === wanted.uid && now.gid === wanted.gid && now.mode === wanted.mode) return;
    this.directory.permitLeaseSocket(wanted);
  }

  hide(): void {
    if (this.shown !== undefined) this.directory.hideLeaseSocket();
  }
}
