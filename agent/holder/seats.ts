import { randomUUID } from 'node:crypto';
import { Lanes } from '../kernel/lanes.js';
import type { Say } from './card.js';
import type { CardLessor } from './holdings.js';
import type { Done, SeatState, WantedSeats } from './messages.js';
import { type OpenDevice, SeatdServer } from './seatd-server.js';
import { Taking } from './taking.js';

/** So many threads may a seat take at once, while the kernel is at work for it: all seats share 64 (hotseat-holder.service). */
const threads = 4;

/** All seats to which devices are served; kept as they are while there is no agent. */
export class Seats {
  private readonly servers = new Map<string, SeatdServer>();
  /** By seat. They stay when it is not served any more: the kernel may still be at work for it. */
  private readonly lanes = new Map<string, Lanes>();
  private readonly taking = new Taking();
  /** Nobody else has this name: what another holder has opened is nothing that this one could take back. */
  private readonly name = randomUUID();

  /** `changed`: called whenever the state is another. */
  constructor(
    private readonly say: Say,
    private readonly changed: () => void,
    private readonly cards: CardLessor,
    private readonly openDevice?: OpenDevice,
  ) {}

  /** Serves these devices from now on. When it settles, all other devices are taken back, but for those that are left. */
  async want({ serial, seats, isAll }: WantedSeats): Promise<Done> {
    const left: Promise<Record<string, string>>[] = [];
    for (const [seat, server] of this.servers) {
      if (!isAll || seats.some((one) => one.seat === seat)) continue;
      left.push(server.close());
      this.servers.delete(seat);
      this.say(`${seat}: not served any more`);
    }
    for (const wanted of seats) {
      let server = this.servers.get(wanted.seat);
      if (server === undefined) {
        const lanes = this.lanes.get(wanted.seat) ?? new Lanes(threads);
        this.lanes.set(wanted.seat, lanes);
        server = new SeatdServer(wanted, this.say, this.changed, lanes, this.taking, this.cards, this.openDevice);
        this.servers.set(wanted.seat, server);
      }
      left.push(server.update(wanted));
    }
    this.changed();
    const failed: Record<string, string> = Object.assign({}, ...(await Promise.all(left)));
    return { done: serial, isAll, holder: this.name, left: { ...this.taking.left, ...failed } };
  }

  get state(): SeatState[] {
    return [...this.servers.values()].map(({ state }) => state);
  }
}
