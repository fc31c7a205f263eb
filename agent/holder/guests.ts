import { createServer, type Server, type Socket } from 'node:net';
import { isWithin } from '../kernel/cgroup.js';
import { peerCgroup } from '../kernel/peer.js';
import { descriptorOf } from '../kernel/socket-descriptor.js';
import { inodeAt, listenAt } from '../kernel/unix-listener.js';

/** Limits for clients, who are in a container. */
export interface GuestLimits {
  /** How many may be connected at once. */
  readonly connections: number;
  /** How long one may say nothing, ms; without it, for ever. */
  readonly idleMs?: number;
}

/**
 * A socket of a seat, and who is connected to it. Where the socket lies says whose seat it is, and the kernel says who is at the other end
 * (`peerCgroup`): only processes of the seat's container are let in, also when somebody else gets at the socket. A client that comes
 * before the container is known waits; the clients of a container that has the seat no more go.
 */
export class Guests {
  /** Of the socket at which it listens; empty before the first one. */
  inode = '';
  private server: Server | undefined;
  /** In which cgroup the process is that made each connection; undefined: it could not be told. */
  private readonly cgroups = new Map<Socket, string | undefined>();
  private readonly inside = new Set<Socket>();
  private cgroup: string | undefined;

  /** `enter` is called with each one that is let in. */
  constructor(
    private readonly limits: GuestLimits,
    private readonly enter: (socket: Socket) => void,
    private readonly say: (text: string) => void,
  ) {}

  /** Listens at a path where only root gets, and nowhere else any more. Those who are connected stay. @throws SysError */
  listen(path: string): void {
    const fd = listenAt(path, 0o600);
    this.shut();
    this.inode = inodeAt(path) ?? '';
    this.server = createServer((socket) => this.receive(socket));
    this.server.on('error', (error) => this.say(error.message));
    this.server.listen({ fd });
  }

  /** Nobody else gets in. */
  shut(): void {
    this.server?.close();
  }

  private receive(socket: Socket): void {
    const { connections, idleMs } = this.limits;
    if (this.cgroups.size >= connections) {
      socket.destroy();
      return;
    }
    if (idleMs !== undefined) socket.setTimeout(idleMs, () => socket.destroy());
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
