import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { type DeviceNumber, numberOf, numberText } from '../core/device.js';
import { type LeasedOutput, leaseFor, mayStay, type SeatOutputs } from '../core/leases.js';
import * as drm from '../kernel/drm.js';
import { isSysError } from '../kernel/errors.js';
import { guardFramebuffers } from '../kernel/framebuffer-guard.js';
import type { CardState, SeatLease, WantedCard } from './messages.js';
import { ShownName } from './shown-name.js';

/** The objects that one start of a display server got. */
interface Lease {
  readonly lessee: number;
  /** Kept open: as long as it is, the number of the lessee is nobody else's (drm_lease.c, idr_alloc). */
  readonly fd: number;
  readonly outputs: readonly LeasedOutput[];
  readonly since: Date;
}

/** A lease as it is handed over; the descriptor stays the holder's. */
export interface HandedLease {
  readonly fd: number;
  readonly outputs: readonly string[];
}

export type Say = (text: string) => void;

/** The kernel's side of a card; another one in tests. */
export type CardCalls = Pick<
  typeof drm,
  'becomeMaster' | 'connectorsOfCard' | 'createLease' | 'leasedObjects' | 'revokeLease' | 'switchOff'
>;

/**
 * One card: the holder is its master, which it never drops, because all lessees stand still when it does. `UNIVERSAL_PLANES` is
 * never set here: without it the kernel puts a CRTC's primary and cursor plane into each lease.
 */
export class HeldCard {
  private fd: number | undefined;
  private problem: string | undefined;
  private guard: { close(): void } | undefined;
  private unguarded: string | undefined;
  private seats: readonly SeatOutputs[] = [];
  private readonly leases = new Map<string, Lease>();
  private readonly shortfalls = new Map<string, string>();
  /** The name of an output on it, while nobody has leased that. */
  readonly name: ShownName;

  constructor(
    private readonly wanted: WantedCard,
    private readonly say: Say,
    private readonly calls: CardCalls = drm,
  ) {
    const leased = () => new Map([...this.leases].map(([seat, { outputs }]) => [seat, outputs]));
    this.name = new ShownName({ node: wanted.node, master: () => this.fd, leased }, say);
  }

  get node(): string {
    return this.wanted.node;
  }

  get isHeld(): boolean {
    return this.fd !== undefined;
  }

  isSame({ node, number, incarnation }: WantedCard): boolean {
    const { wanted } = this;
    return node === wanted.node && number === wanted.number && incarnation === wanted.incarnation;
  }

  /** Becomes master where it is not yet. Why it cannot is in the state; it is to be tried again. */
  take(): void {
    if (this.fd !== undefined) return;
    const { node, number } = this.wanted;
    let fd: number | undefined;
    try {
      fd = openSync(node, constants.O_RDWR);
      const found = numberOf(fstatSync(fd, { bigint: true }).rdev);
      if (numberText(found) !== number) throw new Error(`${node} is another card`);
      this.calls.becomeMaster(fd);
      this.guardPictures(found);
      const crtcs = new Set(this.calls.connectorsOfCard(fd).flatMap((one) => one.crtcs));
      this.fd = fd;
      this.problem = undefined;
      this.say(`${node}: held`);
      // Nobody may see the picture until now: a console, or a picture of the seat that had the whole card.
      for (const crtc of crtcs)
        this.attempt('switch off the former picture', () => this.calls.switchOff(fd as number, crtc));
    } catch (error) {
      this.unguard();
      if (fd !== undefined) closeSync(fd);
      this.problem = isSysError(error, 'EBUSY')
        ? `another display server is master of ${node}`
        : `${node} cannot be held: ${(error as Error).message}`;
    }
  }

  /** From the first lease on, no program of one seat may get at the pictures of another. */
  private guardPictures(card: DeviceNumber): void {
    if (this.guard !== undefined) return;
    try {
      this.guard = guardFramebuffers(card);
      this.unguarded = undefined;
    } catch (error) {
      this.unguarded = (error as Error).message;
      this.say(`${this.node}: pictures are not guarded: ${this.unguarded}`);
    }
  }

  private unguard(): void {
    this.guard?.close();
    this.guard = undefined;
  }

  /** Takes in whose the outputs are now. Leases with an output that is no longer their seat's are taken back. */
  divide(seats: readonly SeatOutputs[]): void {
    this.seats = seats;
    for (const [seat, { outputs }] of this.leases) {
      if (mayStay(seat, outputs, seats)) continue;
      this.end(seat);
      this.say(`${this.node}: taken back from ${seat}`);
    }
    for (const seat of this.shortfalls.keys()) if (!this.has(seat)) this.shortfalls.delete(seat);
  }

  /** Whether a seat's display server has a lease of this card. */
  isLeasedTo(seat: string): boolean {
    return this.leases.has(seat);
  }

  /** Whether a seat has outputs of this card. */
  has(seat: string): boolean {
    return this.seats.some((one) => one.seat === seat && one.connectors.length > 0);
  }

  /**
   * A new lease for a seat's display server that starts. The lease before it is taken back, because its outputs are still in it.
   * @throws with words for the client
   */
  lease(seat: string): HandedLease {
    if (this.fd === undefined) throw new Error(this.problem ?? `${this.node} is not held yet`);
    this.name.end();
    this.end(seat);
    const others = [...this.leases.values()].flatMap(({ outputs }) => outputs);
    const { outputs, connectors, missing } = leaseFor(seat, this.seats, this.calls.connectorsOfCard(this.fd), others);
    if (missing.length > 0) this.shortfalls.set(seat, missing.join('; '));
    else this.shortfalls.delete(seat);
    if (outputs.length === 0) throw new Error(missing.join('; ') || `no output of ${this.node} is this seat's`);
    const crtcs = outputs.map(({ crtc }) => crtc);
    for (const crtc of crtcs) this.calls.switchOff(this.fd, crtc);
    const { lessee, fd } = this.calls.createLease(this.fd, [...crtcs, ...connectors]);
    this.leases.set(seat, { lessee, fd, outputs, since: new Date() });
    const names = outputs.map(({ connector }) => connector);
    this.say(`${this.node}: ${names.join(', ')} to ${seat}, objects ${this.calls.leasedObjects(fd).join(' ')}`);
    return { fd, outputs: names };
  }

  /**
   * A lease of nothing, for a display server with a lease that needs the card once more, to make buffers. The descriptor is
   * the caller's to close.
   * @throws with words for the client
   */
  leaseNothing(seat: string): number {
    if (this.fd === undefined || !this.leases.has(seat)) throw new Error(`this seat has no lease of ${this.node}`);
    return this.calls.createLease(this.fd, []).fd;
  }

  /**
   * Takes a lease back, if there is one: first the permission, then the picture, which stays on for as long as anybody has the
   * descriptor open.
   */
  end(seat: string): void {
    const lease = this.leases.get(seat);
    if (lease === undefined || this.fd === undefined) return;
    this.leases.delete(seat);
    this.attempt(`revoke ${seat}`, () => this.calls.revokeLease(this.fd as number, lease.lessee));
    for (const { crtc } of lease.outputs) {
      this.attempt(`switch off the last picture of ${seat}`, () => this.calls.switchOff(this.fd as number, crtc));
    }
    closeSync(lease.fd);
  }

  /** The display server of a seat has ended, and its needs with it. */
  ended(seat: string): void {
    if (this.leases.has(seat)) this.say(`${this.node}: the display server of ${seat} has ended`);
    this.end(seat);
  }

  /** Lets go of the card, and of all that was leased of it. */
  close(): void {
    this.name.end();
    for (const seat of [...this.leases.keys()]) this.end(seat);
    if (this.fd === undefined) return;
    closeSync(this.fd);
    this.fd = undefined;
    this.unguard();
    this.say(`${this.node}: let go`);
  }

  get state(): CardState {
    return {
      node: this.node,
      number: this.wanted.number,
      problem: this.problem,
      unguarded: this.unguarded,
      seats: this.seats.map(({ seat, connectors }): SeatLease => {
        const lease = this.leases.get(seat);
        return {
          ...{ seat, connectors },
          leased: lease?.outputs.map(({ connector }) => connector) ?? [],
          since: lease?.since.toISOString(),
          problem: this.shortfalls.get(seat),
        };
      }),
    };
  }

  /** A card that was pulled has no lease any more, and shows nothing. */
  private attempt(what: string, action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!isSysError(error, 'ENOENT', 'ENODEV'))
        this.say(`${this.node}: could not ${what}: ${(error as Error).message}`);
    }
  }
}
