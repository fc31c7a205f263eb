import type { Socket } from 'node:net';
import { isWithin } from '../kernel/cgroup.js';
import { peerCgroup } from '../kernel/peer.js';
import { descriptorOf } from '../kernel/socket-descriptor.js';

/**
 * Who is connected to a socket of a seat. Where the socket lies says whose seat it is, and the kernel says who is at the other end
 * (`peerCgroup`): only processes of the seat's container are let in, also when somebody else gets at the socket. A client that comes
 * before the container is known waits; the clients of a container that has the seat no more go.
 */
export class Guests {
  /** In which cgroup the process is that made each connection; undefined: it could not be told. */
  private readonly cgroups = new Map<Socket, string | undefined>();
  private readonly inside = new Set<Socket>();
  private cgroup: string | undefined;

  /** `most`: so many may be connected at once. `enter` is called with each one that is let in. */
  constructor(
    private readonly most: number,
    private readonly enter: (socket: Socket) => void,
    private readonly say: (text: string) => void,
  ) {}

  /** Takes in a new connection. */
  receive(socket: Socket): void {
    if (this.cgroups.size >= this.most) {
      socket.destroy();
      return;
    }
    this.cgroups.set(socket, groupOf(socket));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.cgroups.delete(socket);
      this.inside.delete(socket);
    });
    this.judge(socket);
  }

  /** From now on the seat's container has this cgroup; undefined while the seat has none. */
  admit(cgroup: string | undefined): void {
    this.cgroup = cgroup;
    for (const socket of [...this.cgroups.keys()]) this.judge(socket);
  }

  /** Whether a client that was let in goes when the seat's container has this cgroup. */
  isOut(socket: Socket, cgroup: string | undefined): boolean {
    return !isOf(this.cgroups.get(socket), cgroup);
  }

  /** All go. */
  leave(): void {
    for (const socket of [...this.cgroups.keys()]) socket.destroy();
  }

  private judge(socket: Socket): void {
    const isInside = this.inside.has(socket);
    if (!this.isOut(socket, this.cgroup)) {
      if (isInside) return;
      this.inside.add(socket);
      this.enter(socket);
    } else if (isInside || this.cgroup !== undefined) {
      const where = this.cgroups.get(socket) ?? 'no group that could be told';
      this.say(`refused: somebody in ${where}, which is not the seat's container`);
      socket.destroy();
    }
  }
}

const isOf = (guest: string | undefined, cgroup: string | undefined): boolean =>
  guest !== undefined && cgroup !== undefined && isWithin(guest, cgroup);

function groupOf(socket: Socket): string | undefined {
  try {
    return peerCgroup(descriptorOf(socket));
  } catch {
    return undefined;
  }
}
