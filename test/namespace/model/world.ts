import { lstatSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type DeviceNumber, numberOf, numberText } from '../../../agent/core/device.js';
import type { NodeRef } from '../../../agent/core/step.js';
import { uidsOf } from '../../../agent/engines/users.js';
import type { Holder, InFlight } from '../../../agent/kernel/holders.js';
import type { Journal } from '../../../agent/seat/journal.js';
import { seatRoot } from '../../../agent/seat/layout.js';
import type { Revocation } from '../../../agent/seat/revoke.js';
import type { Agent } from './agent.js';
import { Containers, isRecorded, type Run, user } from './containers.js';
import { KernelMap } from './kernel-map.js';
import { heardAt, isSame, Pc, type PcDevice } from './pc.js';
import { first, isShareable, ownersOf, type Seat, type Wishes } from './wishes.js';

const [{ first: uid } = { first: 0 }] = uidsOf(user);

const isNode = (path: string, number: DeviceNumber): boolean => {
  const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return stat?.isCharacterDevice() === true && isSame(numberOf(stat.rdev), number);
};

/** Everything outside the agent: the PC, its kernel, its containers, and the wishes of its admin. */
export class World {
  readonly map = new KernelMap();
  readonly containers = new Containers();
  readonly pc = new Pc((number) => {
    this.map.withdraw(number);
    const isKept = (device: PcDevice): boolean => !isSame(device.number, number);
    for (const run of this.containers.runs) run.keepOpen(isKept);
    this.smuggled = this.smuggled.filter(isKept);
  });
  wishes: Wishes = first;

  /** `takesRawBack`: as Linux 6.12 does. */
  constructor(private readonly takesRawBack: boolean) {}

  agent: Agent | undefined;
  /** Open files of a process that the user runs outside of her container. It shows them to nobody, except cards. */
  smuggled: PcDevice[] = [];
  /** Which promises were broken, in words. */
  readonly broken: string[] = [];

  journalOf(seat: string): Journal | undefined {
    return this.agent?.journals.get(seat);
  }

  /** The container that has, or may have, a seat's devices. */
  runOf(seat: string): Run | undefined {
    const key = this.journalOf(seat)?.container;
    return this.containers.running.find((run) => run.key === key);
  }

  /** The programs of a container open all permitted devices. */
  open(run: Run): void {
    for (const device of this.pc.units.flatMap(({ devices }) => devices)) {
      if (device.number === undefined || !this.map.opens(run.id, device.number)) continue;
      if (!run.open.includes(device)) run.open.push(device);
    }
  }

  /** The user hands on what her container has open to another process of hers. */
  smuggle(): void {
    for (const device of this.containers.named('hers')?.open ?? [])
      if (!this.smuggled.includes(device)) this.smuggled.push(device);
  }

  /**
   * A process of hers tries the nodes in the directories of her seats: only processes in the container may have them.
   */
  trespass(): void {
    for (const seat of this.wishes.seats.filter((one) => this.runOf(one)?.user === user)) {
      for (const { devices } of this.pc.units) {
        for (const { node, number } of devices) {
          if (node === undefined || number === undefined || !isNode(join(seatRoot(seat), 'dev', node), number))
            continue;
          if (this.map.opensOutside(uid, number))
            this.broken.push(`${user} opens ${node} of ${seat} outside of all containers`);
        }
      }
    }
  }

  /**
   * A container's programs start, and read which devices there are, where its configuration shows them that. They drop
   * devices that they cannot open: these must be announced.
   */
  ready(run: Run): void {
    if (run.state === 'running') return;
    run.state = 'running';
    const seat = run.configuredFor;
    if (seat === undefined || this.wishes.containers[seat] !== run.name) return;
    for (const device of this.pc.units.flatMap(({ devices }) => devices)) {
      // A raw node lies in no grafted directory, and is not shown yet.
      const isThere = device.subsystem !== 'hidraw' || run.shown.has(basename(device.syspath));
      const isOpened = isThere && (device.number === undefined || this.map.opens(run.id, device.number));
      if (!isOpened || !isRecorded(seat, device)) continue;
      const devpath = device.syspath.slice('/sys'.length);
      run.known.set(devpath, device);
      run.read.add(devpath);
    }
    if (run.isEager) this.open(run);
  }

  /**
   * A number is about to be granted to a seat's container: it is the seat's, and nobody else has it, except seats that
   * share it.
   */
  giving(seat: string, run: Run, number: DeviceNumber, wishes: Wishes | undefined): void {
    const found = this.pc.at(number);
    if (found === undefined || wishes === undefined) return;
    const { device, unit } = found;
    const owners: readonly string[] = ownersOf(wishes, unit);
    const what = `${device.syspath} (${numberText(number)})`;
    if (!owners.includes(seat)) this.broken.push(`${seat} is given ${what}, which is not its own`);
    const isRaw = unit.subsystem === 'hidraw';
    if (isRaw && !this.map.majors.includes(number.major)) this.broken.push(`${what} is given and not guarded`);
    for (const heard of heardAt(unit)) {
      const sharers: readonly string[] = ownersOf(wishes, heard);
      const isShared = !isRaw && isShareable(wishes, heard);
      const there = this.pc.hearing(heard);
      const isSmuggled = there.some((one) => this.smuggled.includes(one));
      if (isSmuggled && !this.isHers(sharers) && !isShared && run.user !== user)
        this.broken.push(`${seat} is given ${what} while a process of ${user} has it`);
      for (const other of this.containers.populated) {
        const theirs = other === run ? undefined : there.find((one) => this.reaches(other, one));
        if (theirs === undefined || isShared) continue;
        const sharer = sharers.find((owner) => owner !== seat && this.runOf(owner) === other);
        if (sharer === undefined)
          this.broken.push(`${seat} is given ${what} while ${other.name} has ${theirs.syspath}`);
      }
    }
  }

  /** Whether one of these seats is one whose container the user runs. */
  isHers(seats: readonly string[]): boolean {
    return seats.some((seat) => this.runOf(seat)?.user === user || this.journalOf(seat)?.tenant?.user === user);
  }

  holders(numbers: readonly DeviceNumber[]): Holder[] {
    return this.containers.populated.flatMap(({ pid, name, cgroup, open }) =>
      open.flatMap(({ number }, fd) =>
        number !== undefined && numbers.some((one) => isSame(one, number))
          ? [{ pid, fd, command: name, cgroup, number }]
          : [],
      ),
    );
  }

  /** Owners of a file in a message that nobody has read; the user keeps cards like that outside of her container. */
  inFlight(): InFlight[] {
    const runs = this.containers.populated.filter(({ inFlight }) => inFlight.length > 0);
    const inside = runs.map(({ pid, name, cgroup, user }) => ({
      pid,
      command: name,
      cgroup,
      uid: user === undefined ? 0 : uid,
      isHosts: false,
    }));
    const hasCard = this.smuggled.some(({ subsystem }) => subsystem === 'drm');
    return hasCard
      ? [...inside, { pid: 1, command: 'session', cgroup: '/sys/fs/cgroup/user.slice', uid, isHosts: false }]
      : inside;
  }

  /** All who have one of these cards open, wherever; undefined when one of them is no card. */
  clients(numbers: readonly DeviceNumber[]): string[] | undefined {
    if (numbers.length === 0 || numbers.some(({ major }) => major !== 226)) return undefined;
    const isOne = ({ number }: PcDevice): boolean => number !== undefined && numbers.some((one) => isSame(one, number));
    const runs = this.containers.populated.filter(({ open, inFlight }) => [...open, ...inFlight].some(isOne));
    return [...runs.map(({ name }) => name), ...(this.smuggled.some(isOne) ? ['session'] : [])];
  }

  /** Whether the kernel can take back descriptors of a node: of event nodes, and of raw nodes from Linux 6.12 on. */
  private isRevocable(name: string): boolean {
    return name.startsWith('event') || (this.takesRawBack && name.startsWith('hidraw'));
  }

  /** Descriptors that the kernel can take back. */
  revoke(seat: string, nodes: readonly NodeRef[], spared: readonly string[]): Revocation {
    const left: string[] = [];
    let revoked = 0;
    for (const { name, number } of nodes) {
      for (const run of this.containers.populated) {
        const rest = run.open.filter((device) => !isSame(device.number, number));
        if (rest.length === run.open.length || spared.includes(run.cgroup)) continue;
        this.losing(seat, run, number);
        if (this.isRevocable(name)) {
          run.open = rest;
          revoked += 1;
        } else left.push(`${run.name} holds ${name}`);
      }
    }
    return { revoked, left, suspected: [], handed: [], isHeldUp: false };
  }

  /**
   * A device that leaves a seat is taken back from all who have it, but not from a seat that still has a right to it.
   */
  private losing(seat: string, run: Run, number: DeviceNumber): void {
    const found = this.pc.at(number);
    const verdict = this.agent?.house.assignments.judged.get(found?.unit.id ?? '');
    if (found === undefined || verdict?.kind !== 'seat') return;
    const other = verdict.claims.find((claim) => claim.seat !== seat && this.runOf(claim.seat) === run)?.seat;
    if (other !== undefined) this.broken.push(`${other} loses ${found.device.syspath}, which leaves ${seat} alone`);
  }

  /** Whether nothing but an end of its use takes a device from a container: another seat shares and keeps it. */
  staysUntilLetGo(run: Run, { syspath, number }: PcDevice): boolean {
    const unit = number === undefined ? undefined : this.pc.at(number)?.unit;
    if (unit === undefined) return false;
    // Nothing in a message is taken back.
    if (this.isRevocable(basename(syspath)) && run.inFlight.length === 0) return false;
    const isElsewhere = (seat: Seat) =>
      this.runOf(seat) !== run && this.agent?.house.assignments.holders(unit.id).includes(seat);
    return ownersOf(this.wishes, unit).some(isElsewhere);
  }

  /** A driver is unbound and bound again: its device comes back as another one. */
  rebind(id: string): string {
    const plugged = [...this.pc.plugged.values()].find(({ units }) => units.some((unit) => unit.id === id));
    if (plugged === undefined) throw new Error(`${id} has gone`);
    this.pc.unplug(plugged.port);
    this.pc.plug(plugged.port, plugged.kind);
    return basename(id);
  }

  /** Whether a container's programs can open a device, or have it open. */
  reaches(run: Run, device: PcDevice): boolean {
    return run.holds(device) || (device.number !== undefined && this.map.opens(run.id, device.number));
  }
}
