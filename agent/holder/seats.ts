import { randomUUID } from 'node:crypto';
import type { Say } from './card.js';
import type { Done, SeatState, WantedSeats } from './messages.js';
import { type OpenDevice, SeatdServer } from './seatd-server.js';

/** All seats to which devices are served; kept as they are while there is no agent. */
export class Seats {
  private readonly servers = new Map<string, SeatdServer>();
  /** Nobody else has this name: what another holder has opened is nothing that this one could take back. */
  private readonly name = randomUUID();

  /** `changed`: called whenever the state is another. */
  constructor(
    private readonly say: Say,
    private readonly changed: () => void,
    private readonly openDevice?: OpenDevice,
  ) {}

  /** Serves these devices from now on. When it settles, all other devices are taken back. */
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
        server = new SeatdServer(wanted, this.say, this.changed, this.openDevice);
        this.servers.set(wanted.seat, server);
      }
      left.push(server.update(wanted));
    }
    this.changed();
    return { done: serial, holder: this.name, left: Object.assign({}, ...(await Promise.all(left))) };
  }

  get state(): SeatState[] {
    return [...this.servers.values()].map(({ state }) => state);
  }
}
