import { close, constants, fstatSync, open } from 'node:fs';
import { promisify } from 'node:util';
import { type DeviceNumber, numberOf, numberText } from '../core/device.js';
import { type LeasedOutput, leaseFor, mayStay, type SeatOutputs } from '../core/leases.js';
import * as drm from '../kernel/drm.js';
import { isSysError } from '../kernel/errors.js';
import { guardFramebuffers } from '../kernel/framebuffer-guard.js';
import type { Lanes } from '../kernel/lanes.js';
import type { WantedName } from './identify-messages.js';
import type { CardState, SeatLease, WantedCard } from './messages.js';
import { namePatience, patience } from './patience.js';
import { ShownName } from './shown-name.js';

const openFile = promisify(open);
const closing = promisify(close);
const closeFile = (fd: number): Promise<void> => closing(fd).catch(() => undefined);

/** The objects that one start of a display server got. The descriptor stays the holder's. */
export interface Lease {
  readonly seat: string;
  readonly lessee: number;
  /** Kept open: as long as it is, the number of the lessee is nobody else's (drm_lease.c, idr_alloc). */
  readonly fd: number;
  readonly outputs: readonly LeasedOutput[];
  readonly since: Date;
  /** Settles when it has been taken back; absent while it is not to be. */
  revoked?: Promise<void>;
}

/** Who asks for a lease. */
export interface LeaseAsker<T> {
  /** Whether it still waits. What it does not wait for any more is taken back. */
  readonly isAwaited: () => boolean;
  /** Takes it. Nothing else is done to the card meanwhile. When this throws, the lease is taken back. */
  readonly hand: (lease: T) => void;
}

export type Say = (text: string) => void;

/** The kernel's side of a card; another one in tests. */
export type CardCalls = Pick<
  typeof drm,
  'becomeMaster' | 'connectorsOfCard' | 'createLease' | 'leasedObjects' | 'revokeLease' | 'switchOff'
>;

/** The holder around a card. */
export interface CardDeps {
  readonly say: Say;
  /** Called whenever the card's state is another. */
  readonly changed: () => void;
  /** Of all cards. */
  readonly lanes: Lanes;
  readonly calls?: CardCalls | undefined;
}

/** A card that has other things to do for longer than somebody waits. */
export class BusyCardError extends Error {
  override name = 'BusyCardError';

  constructor(node: string, why = 'is busy: ask again') {
    super(`${node} ${why}`);
  }
}

/** A card that does not answer. */
export class SilentCardError extends BusyCardError {
  override name = 'SilentCardError';

  constructor(node: string) {
    super(node, 'does not answer: a program that has an output of it keeps the kernel busy with it');
  }
}

/**
 * One card: the holder is its master, which it never drops, because all lessees stand still when it does. `UNIVERSAL_PLANES` is
 * never set here: without it the kernel puts a CRTC's primary and cursor plane into each lease.
 *
 * What the kernel does to the card is done off the loop, one piece of work after the other: a program with an output of it can make
 * the kernel wait (drm.ts), also for ever. A revocation alone waits for nothing before it: it needs no lock of the card's modes
 * (drm_lease.c, drm_mode_revoke_lease_ioctl). The state is known without the kernel.
 */
export class HeldCard {
  private fd: number | undefined;
  private problem: string | undefined;
  private guard: { close(): void } | undefined;
  private unguarded: string | undefined;
  private seats: readonly SeatOutputs[] = [];
  /** CRTCs that can show anything. */
  private crtcs: readonly number[] = [];
  /** By seat. A lease is here until the kernel has taken it back. */
  private readonly leases = new Map<string, Lease>();
  private readonly shortfalls = new Map<string, string>();
  /** Whether its work takes too long just now. */
  private isSilent = false;
  private taking: Promise<void> | undefined;
  private dividing: Promise<void> | undefined;
  private told = '';
  private readonly calls: CardCalls;
  /** The name of an output on it, while nobody has leased that. */
  private readonly name: ShownName;

  constructor(
    private readonly wanted: WantedCard,
    private readonly deps: CardDeps,
  ) {
    this.calls = deps.calls ?? drm;
    const leased = () => new Map([...this.leases].map(([seat, { outputs }]) => [seat, outputs]));
    const inTurn = (work: () => Promise<void>) => this.inTurn(work);
    this.name = new ShownName({ node: wanted.node, master: () => this.fd, leased, inTurn }, deps.say);
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
  take(): Promise<void> {
    this.taking ??= this.inTurn(() => this.becomeMaster()).finally(() => {
      this.taking = undefined;
    });
    return this.taking;
  }

  private async becomeMaster(): Promise<void> {
    if (this.fd !== undefined) return;
    const { node, number } = this.wanted;
    let fd: number | undefined;
    try {
      fd = await openFile(node, constants.O_RDWR);
      const found = numberOf(fstatSync(fd, { bigint: true }).rdev);
      if (numberText(found) !== number) throw new Error(`${node} is another card`);
      await this.calls.becomeMaster(fd);
      this.guardPictures(found);
      this.crtcs = [...new Set((await this.calls.connectorsOfCard(fd)).flatMap((one) => one.crtcs))];
      this.fd = fd;
      this.problem = undefined;
      this.say('held');
      // Nobody may see the picture until now: a console, or a picture of the seat that had the whole card.
      await this.switchOff(this.crtcs, 'the former picture');
    } catch (error) {
      this.unguard();
      if (fd !== undefined) await closeFile(fd);
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
      this.say(`pictures are not guarded: ${this.unguarded}`);
    }
  }

  private unguard(): void {
    this.guard?.close();
    this.guard = undefined;
  }

  /**
   * Takes in whose the outputs are now. Leases with an output that is no longer their seat's are taken back; settles when they
   * are.
   */
  divide(seats: readonly SeatOutputs[]): Promise<void> {
    this.seats = seats;
    for (const seat of this.shortfalls.keys()) if (!this.has(seat)) this.shortfalls.delete(seat);
    for (const lease of this.leases.values()) if (!this.mayStay(lease)) void this.revoke(lease);
    this.tell();
    this.dividing ??= this.inTurn(async () => {
      this.dividing = undefined;
      for (const lease of [...this.leases.values()]) {
        if (this.mayStay(lease)) continue;
        await this.end(lease);
        this.say(`taken back from ${lease.seat}`);
      }
    });
    return this.dividing;
  }

  private mayStay = ({ seat, outputs, revoked }: Lease): boolean =>
    revoked === undefined && mayStay(seat, outputs, this.seats);

  /** Whether a seat's display server has a lease of this card. It has one until the kernel has taken it back. */
  isLeasedTo(seat: string): boolean {
    return this.leases.has(seat);
  }

  /** Whether a seat has outputs of this card. */
  has(seat: string): boolean {
    return this.seats.some((one) => one.seat === seat && one.connectors.length > 0);
  }

  /**
   * A new lease for a seat's display server that starts. The lease before it is taken back, because its outputs are still in it.
   * Rejects with words for the client, and with SilentCardError at once while the card does not answer.
   */
  async lease(seat: string, { isAwaited, hand }: LeaseAsker<Lease>): Promise<void> {
    this.refuseSilent();
    await this.inTurn(async () => {
      if (!isAwaited()) throw new Error('nobody waits for it any more');
      const master = this.fd;
      if (master === undefined) throw new Error(this.problem ?? `${this.node} is not held yet`);
      await this.name.end();
      const former = this.leases.get(seat);
      if (former !== undefined) await this.end(former);
      const lease = await this.newLease(seat, master);
      try {
        const objects = await this.calls.leasedObjects(lease.fd);
        // The kernel may have been kept busy meanwhile.
        if (!isAwaited()) throw new Error('nobody waits for it any more');
        if (!this.mayStay(lease)) throw new Error(`an output of ${this.node} is not this seat's any more`);
        hand(lease);
        const names = lease.outputs.map(({ connector }) => connector).join(', ');
        this.say(`${names} to ${seat}, objects ${objects.join(' ')}`);
      } catch (error) {
        await this.end(lease);
        throw error;
      }
    });
  }

  private async newLease(seat: string, master: number): Promise<Lease> {
    const others = [...this.leases.values()].flatMap(({ outputs }) => outputs);
    const known = await this.calls.connectorsOfCard(master);
    const { outputs, connectors, missing } = leaseFor(seat, this.seats, known, others);
    if (missing.length > 0) this.shortfalls.set(seat, missing.join('; '));
    else this.shortfalls.delete(seat);
    if (outputs.length === 0) throw new Error(missing.join('; ') || `no output of ${this.node} is this seat's`);
    const crtcs = outputs.map(({ crtc }) => crtc);
    for (const crtc of crtcs) await this.calls.switchOff(master, crtc);
    const { lessee, fd } = await this.calls.createLease(master, [...crtcs, ...connectors]);
    const lease: Lease = { seat, lessee, fd, outputs, since: new Date() };
    this.leases.set(seat, lease);
    return lease;
  }

  /**
   * A lease of nothing, for a display server with a lease that needs the card once more, to make buffers. The descriptor is
   * there for as long as `hand` runs. Rejects like `lease`.
   */
  async leaseNothing(seat: string, { isAwaited, hand }: LeaseAsker<number>): Promise<void> {
    this.refuseSilent();
    await this.inTurn(async () => {
      if (!isAwaited()) throw new Error('nobody waits for it any more');
      if (this.fd === undefined || !this.leases.has(seat)) throw new Error(`this seat has no lease of ${this.node}`);
      const { fd } = await this.calls.createLease(this.fd, []);
      try {
        if (isAwaited()) hand(fd);
      } finally {
        await closeFile(fd);
      }
    });
  }

  /** The display server that has a lease has ended, and its needs with it. */
  async ended(lease: Lease): Promise<void> {
    if (this.leases.get(lease.seat) === lease) void this.revoke(lease);
    await this.inTurn(async () => {
      if (this.leases.get(lease.seat) !== lease) return;
      this.say(`the display server of ${lease.seat} has ended`);
      await this.end(lease);
    });
  }

  /**
   * Shows the name of an output on it, if somebody still waits for it then.
   * @throws UnshownError with words for people, and SilentCardError at once while the card does not answer
   */
  async identify(wanted: WantedName, isAwaited: () => boolean): Promise<void> {
    this.refuseSilent();
    await this.inTurn(() => this.name.identify(wanted, isAwaited), namePatience);
  }

  /** Lets go of the card, and of all that was leased of it. All pictures are off by then. Settles when that is done. */
  async close(): Promise<void> {
    await this.inTurn(async () => {
      await this.name.end();
      for (const lease of [...this.leases.values()]) await this.end(lease);
      const { fd } = this;
      if (fd === undefined) return;
      // Once more: the next display server must see no picture of a seat, also where switching one off has failed before.
      await this.switchOff(this.crtcs, 'the last pictures');
      this.fd = undefined;
      await closeFile(fd);
      this.unguard();
      this.say('let go');
    });
  }

  get state(): CardState {
    const all = [...this.seats];
    for (const { seat } of this.leases.values()) {
      if (!all.some((one) => one.seat === seat)) all.push({ seat, connectors: [] });
    }
    return {
      node: this.node,
      number: this.wanted.number,
      problem: this.isSilent ? new SilentCardError(this.node).message : this.problem,
      unguarded: this.unguarded,
      seats: all.map(({ seat, connectors }): SeatLease => {
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

  /**
   * Takes a lease back: first the permission, then the picture, which stays on for as long as anybody has the
   * descriptor open.
   */
  private async end(lease: Lease): Promise<void> {
    const { seat, fd, outputs } = lease;
    if (this.fd === undefined) return;
    await this.revoke(lease);
    const crtcs = outputs.map(({ crtc }) => crtc);
    await this.switchOff(crtcs, `the last picture of ${seat}`);
    if (this.leases.get(seat) === lease) this.leases.delete(seat);
    this.tell();
    await closeFile(fd);
  }

  /** Starts the revocation at once, and once for each lease. Settles when it is done; the descriptor of the card is open until then. */
  private revoke(lease: Lease): Promise<void> {
    const master = this.fd;
    if (master === undefined) return Promise.resolve();
    lease.revoked ??= this.attempt(`revoke ${lease.seat}`, () => this.calls.revokeLease(master, lease.lessee));
    return lease.revoked;
  }

  private async switchOff(crtcs: readonly number[], what: string): Promise<void> {
    const { fd } = this;
    if (fd === undefined) return;
    for (const crtc of crtcs) await this.attempt(`switch off ${what}`, () => this.calls.switchOff(fd, crtc));
  }

  /** A card that was pulled has no lease any more, and shows nothing. */
  private async attempt(what: string, action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (!isSysError(error, 'ENOENT', 'ENODEV')) this.say(`could not ${what}: ${(error as Error).message}`);
    }
  }

  /**
   * Does something after all that was asked of this card before; each plugging of a card has turns of its own. Work that takes longer
   * than `longest`, ms, makes the card a silent one until it ends.
   */
  private async inTurn<T>(work: () => Promise<T>, longest = patience): Promise<T> {
    try {
      return await this.deps.lanes.run(`${this.wanted.number} ${this.wanted.incarnation}`, () =>
        this.watched(work, longest),
      );
    } finally {
      this.tell();
    }
  }

  private async watched<T>(work: () => Promise<T>, longest: number): Promise<T> {
    const timer = setTimeout(() => {
      this.isSilent = true;
      this.say(new SilentCardError(this.node).message);
      this.tell();
    }, longest).unref();
    try {
      return await work();
    } finally {
      clearTimeout(timer);
      if (this.isSilent) this.say('answers again');
      this.isSilent = false;
    }
  }

  /** @throws SilentCardError while the card does not answer */
  refuseSilent(): void {
    if (this.isSilent) throw new SilentCardError(this.node);
  }

  /** Tells of another state. */
  private tell(): void {
    const now = JSON.stringify(this.state);
    if (now === this.told) return;
    this.told = now;
    this.deps.changed();
  }

  private say(text: string): void {
    this.deps.say(text.startsWith(this.node) ? text : `${this.node}: ${text}`);
  }
}
