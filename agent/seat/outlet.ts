import { type Accounts, accessOf, type Ownership } from '../core/access.js';
import type { Rule } from '../core/policy.js';
import type { SeatDirectory, SeatSocketName } from './directory.js';

/**
 * A socket of the holder for the display server of a seat: `lease`, `/dev/dri/hotseat` in the container, or `seatd`,
 * `/dev/input/seatd.sock`. The holder makes it and serves it; the agent puts it where the seat sees it, because it
 * clears away all other entries there.
 */
export class Outlet {
  constructor(
    private readonly directory: SeatDirectory,
    private readonly accounts: () => Accounts,
    private readonly socket: SeatSocketName,
  ) {}

  /** Where the holder must make it. */
  get draft(): string {
    return this.directory.draftOf(this.socket);
  }

  /** Inode of the socket that the container sees; undefined while there is none. */
  get shown(): string | undefined {
    return this.directory.socket(this.socket)?.inode;
  }

  /** Shows the holder's new socket, if it is not shown yet: a display server that waits for it connects at once. */
  show(inode: string, rule: Pick<Rule, 'access'>): void {
    if (this.shown !== inode) this.directory.showSocket(this.socket, this.ownership(rule));
  }

  /** Who may connect: users who could open a node by this rule, of a card or of an input. */
  private ownership(rule: Pick<Rule, 'access'>): Ownership {
    const [subsystem, sysname] = this.socket === 'lease' ? (['drm', 'card0'] as const) : (['input', 'event0'] as const);
    // Unknown names are reported for devices that it gets as nodes.
    return accessOf(rule, subsystem, sysname, this.accounts(), () => undefined);
  }

  /** The same of the socket that is shown already: the policy, or the container, may be another one. */
  permit(rule: Pick<Rule, 'access'>): void {
    const now = this.directory.socket(this.socket);
    if (now === undefined) return;
    const wanted = this.ownership(rule);
    if (now.uid === wanted.uid && now.gid === wanted.gid && now.mode === wanted.mode) return;
    this.directory.permitSocket(this.socket, wanted);
  }

  /** Has the seat see these names of cards, and no others, of which it gets leases and no nodes. */
  nameCards(names: ReadonlySet<string>): void {
    this.directory.nameCards(names);
  }

  hide(): void {
    if (this.shown !== undefined) this.directory.hideSocket(this.socket);
  }
}

/**
 * Lets those connect whom the rule of a seat lets, and hides the outlets of seats without a rule. Whether all of that was done;
 * `failed` is told of the rest.
 */
export function tend(
  outlets: ReadonlyMap<string, Outlet>,
  rules: ReadonlyMap<string, Pick<Rule, 'access'>>,
  failed: (seat: string, error: unknown) => void,
): boolean {
  let isDone = true;
  for (const [seat, outlet] of outlets) {
    try {
      const rule = rules.get(seat);
      if (rule === undefined) outlet.hide();
      else outlet.permit(rule);
    } catch (error) {
      isDone = false;
      failed(seat, error);
    }
  }
  return isDone;
}
