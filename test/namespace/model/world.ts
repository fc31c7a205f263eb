import { lstatSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type DeviceNumber, numberOf, numberText } from '../../../agent/core/device.js';
import type { NodeRef } from '../../../agent/core/step.js';
import { isWithin } from '../../../agent/kernel/cgroup.js';
import { HeldUp } from '../../../agent/kernel/held-up.js';
import type { Search } from '../../../agent/kernel/holders.js';
import type { Journal } from '../../../agent/seat/journal.js';
import { seatRoot } from '../../../agent/seat/layout.js';
import { doubts, type Loser, type Revocation } from '../../../agent/seat/revoke.js';
import type { Agent } from './agent.js';
import { Containers, isRecorded, type Run, uid, user } from './containers.js';
import { KernelMap } from './kernel-map.js';
import { heardAt, isSame, Pc, type PcDevice, type PcUnit } from './pc.js';
import { holds, isSeen, keepOpen, Outsider, type Process, searched, unveil } from './processes.js';
import { first, isShareable, ownersOf, type Seat, seats, type Wishes } from './wishes.js';

/** Whether a unit's driver cannot be bound again: that of a graphics card, and of the sound card on the mainboard. */
const isFixed = ({ subsystem, port }: PcUnit): boolean => subsystem === 'drm' || (subsystem === 'sound' && port === 2);

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
    for (const process of [...this.containers.runs, ...this.outsiders]) keepOpen(process, isKept);
    this.smuggled = this.smuggled.filter(isKept);
  });
  wishes: Wishes = first;

  /** `takesRawBack`: as Linux 6.12 does. */
  constructor(private readonly takesRawBack: boolean) {}

  agent: Agent | undefined;
  private last: Agent | undefined;
  /** Open files of a process that the user runs outside of her container. It shows them to nobody, except cards. */
  smuggled: PcDevice[] = [];
  /** Processes outside of all containers: of the user, of somebody else, and of the PC itself. */
  readonly outsiders: readonly Outsider[] = [
    new Outsider('session', 1001, '/sys/fs/cgroup/user.slice/user-1.slice/session-1.scope', uid, false),
    new Outsider('guest', 1002, '/sys/fs/cgroup/user.slice/user-4242.slice/session-2.scope', 4242, false),
    new Outsider('service', 1003, '/sys/fs/cgroup/system.slice/any.service', 0, true),
  ];
  /** The next requests to helper processes are not answered in time, and the work is done all the same, or not. */
  stalls: ('undone' | 'done')[] = [];
  /** Units of which the agent was told that the kernel is kept busy at them. */
  private readonly heldUp = new Set<string>();
  /** Units that other seats kept when they were last revoked. */
  private readonly kept = new Set<string>();
  /** Which promises were broken, in words. */
  readonly broken: string[] = [];

  /** The agent's record of a seat; the last agent's while none runs. */
  journalOf(seat: string): Journal | undefined {
    this.last = this.agent ?? this.last;
    return this.last?.journals.get(seat);
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
    if (run.state !== 'setup') return;
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
    if (run.isSeenUnclear) this.broken.push(`${seat} is given ${what}, and its container is unclear`);
    const isRaw = unit.subsystem === 'hidraw';
    if (isRaw && !this.map.majors.includes(number.major)) this.broken.push(`${what} is given and not guarded`);
    for (const heard of heardAt(unit)) {
      const sharers: readonly string[] = ownersOf(wishes, heard);
      const isShared = !isRaw && isShareable(wishes, heard);
      const there = this.pc.hearing(heard);
      const isSmuggled = there.some((one) => this.smuggled.includes(one));
      if (isSmuggled && !this.isHers(sharers) && !isShared && run.user !== user)
        this.broken.push(`${seat} is given ${what} while a process of ${user} has it`);
      for (const outsider of this.outsiders) {
        const theirs = there.find((one) => holds(outsider, one));
        if (theirs === undefined || isShared || this.mayHave(outsider, theirs, sharers)) continue;
        this.broken.push(`${seat} is given ${what} while ${outsider.name} has ${theirs.syspath}`);
      }
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

  /** Whether an outsider may have a device that is for these seats: what a user's seat has, all processes of hers may. */
  mayHave(outsider: Outsider, device: PcDevice, owners: readonly string[]): boolean {
    return outsider.mayHave(device, owners) || (outsider.uid === uid && this.isHers(owners));
  }

  outsider(name: string): Outsider | undefined {
    return this.outsiders.find((one) => one.name === name);
  }

  /** The processes of a container, or one outside, by their name. */
  processesOf(name: string): Process[] {
    return this.processes.filter((process) => process.name === name);
  }

  private get processes(): Process[] {
    return [...this.containers.populated, ...this.outsiders];
  }

  search(numbers: readonly DeviceNumber[], isPatient: boolean): Omit<Search, 'clients'> {
    const { holders, inFlight, unseen } = searched(this.processes, numbers, isPatient);
    // The user keeps cards in messages of another process of hers.
    const hasCard = this.smuggled.some(({ subsystem }) => subsystem === 'drm');
    const session = { pid: 1, command: 'session', cgroup: '/sys/fs/cgroup/user.slice', uid, isHosts: false };
    return { holders, inFlight: hasCard ? [...inFlight, session] : inFlight, unseen, ringsUnseen: undefined };
  }

  /** All who have one of these cards open, wherever; undefined when one of them is no card. */
  clients(numbers: readonly DeviceNumber[]): string[] | undefined {
    if (numbers.length === 0 || numbers.some(({ major }) => major !== 226)) return undefined;
    const isOne = ({ number }: PcDevice): boolean => number !== undefined && numbers.some((one) => isSame(one, number));
    const having = this.processes.filter(({ open, inFlight }) => [...open, ...inFlight].some(isOne));
    return [...having.map(({ name }) => name), ...(this.smuggled.some(isOne) ? ['session'] : [])];
  }

  /** Whether the kernel can take back descriptors of a node: of event nodes, and of raw nodes from Linux 6.12 on. */
  private isRevocable(name: string): boolean {
    return name.startsWith('event') || (this.takesRawBack && name.startsWith('hidraw'));
  }

  /**
   * Takes back the descriptors that are seen and that the kernel can take back, unless somebody keeps it busy at one of them: a
   * container with processes that a search does not see, for one. `told`: what the agent gets to know of a search.
   */
  revoke(nodes: readonly NodeRef[], loser: Loser, told: (numbers: readonly DeviceNumber[]) => Search): Revocation {
    const { mark, keepers, patient: isPatient = false } = loser;
    const [left, busy]: [string[], string[]] = [[], []];
    const takes: (() => void)[] = [];
    for (const { name, number } of nodes) {
      const isIt = (device: PcDevice): boolean => isSame(device.number, number);
      const isBusy = this.processes.some((process) => process.isBusy && process.open.some(isIt));
      const unit = this.pc.at(number)?.unit.id ?? '';
      if (keepers.length > 0) this.kept.add(unit);
      else this.kept.delete(unit);
      for (const process of this.processes) {
        const isSpared = keepers.some((keeper) => isWithin(process.cgroup, keeper));
        if (isSpared || !isSeen(process, isPatient) || !process.open.some(isIt)) continue;
        if (!this.isRevocable(name)) left.push(`${process.name} holds ${name}`);
        else if (isBusy) busy.push(unit);
        else
          takes.push(() => {
            this.losing(basename(mark), process, number);
            process.open = process.open.filter((device) => !isIt(device));
          });
      }
      this.heldUp.delete(unit);
    }
    for (const unit of busy) this.heldUp.add(unit);
    const none = { revoked: 0, suspected: [], handed: [] };
    if (busy.length > 0) return { ...none, left: ['the kernel is kept busy'], isHeldUp: true };
    for (const take of takes) take();
    const numbers = nodes.map(({ number }) => number);
    this.excuseOwn(numbers);
    const doubt = doubts(told(numbers), loser);
    return { ...doubt, revoked: takes.length, left: [...left, ...doubt.left], isHeldUp: false };
  }

  /** The PC's own processes may keep what they are not seen to have. */
  private excuseOwn(numbers: readonly DeviceNumber[]): void {
    for (const one of this.outsiders.filter(({ isHosts }) => isHosts)) {
      const isHidden = one.veil === 'refused' || one.veil === 'endless';
      for (const device of isHidden ? [...one.open, ...one.inFlight] : one.inFlight)
        if (numbers.some((number) => isSame(device.number, number))) one.excused.add(device);
    }
  }

  /**
   * It was said that others may still have a unit: they may, where its driver cannot be bound again, and where other seats
   * keep it. A card stays then.
   */
  excuse(unit: string): void {
    const devices = this.pc.units.find(({ id }) => id === unit);
    if (devices === undefined || devices.subsystem === 'drm') return;
    if (!isFixed(devices) && !this.kept.has(unit)) return;
    for (const { excused } of this.outsiders) for (const device of devices.devices) excused.add(device);
  }

  /**
   * A device that leaves a seat is taken back from all who have it, but not from a seat that still has a right to it.
   */
  private losing(seat: string, process: Process, number: DeviceNumber): void {
    const found = this.pc.at(number);
    const verdict = this.agent?.house.assignments.judged.get(found?.unit.id ?? '');
    if (found === undefined || verdict?.kind !== 'seat') return;
    const other = verdict.claims.find((claim) => claim.seat !== seat && this.runOf(claim.seat) === process)?.seat;
    if (other !== undefined) this.broken.push(`${other} loses ${found.device.syspath}, which leaves ${seat} alone`);
  }

  /** Whether nothing but an end of its use takes a device from a process: its driver stays bound, or another seat keeps it. */
  staysUntilLetGo(process: Process, { syspath, number }: PcDevice): boolean {
    const unit = number === undefined ? undefined : this.pc.at(number)?.unit;
    if (unit === undefined) return false;
    if (isFixed(unit)) return true;
    // Nothing in a message is taken back.
    if (this.isRevocable(basename(syspath)) && process.inFlight.length === 0) return false;
    const isElsewhere = (seat: Seat) =>
      this.runOf(seat) !== process && this.agent?.house.assignments.holders(unit.id).includes(seat);
    return ownersOf(this.wishes, unit).some(isElsewhere);
  }

  /** A driver is unbound and bound again: its device comes back as another one. */
  rebind(id: string): string {
    const plugged = [...this.pc.plugged.values()].find(({ units }) => units.some((unit) => unit.id === id));
    if (plugged === undefined) throw new Error(`${id} has gone`);
    if (plugged.units.some(isFixed)) throw new Error(`${id} is on no USB device: its driver cannot be bound again`);
    if (this.heldUp.has(id)) this.broken.push(`${id} is bound again while the kernel is kept busy at it`);
    const devices = plugged.units.flatMap((unit) => unit.devices);
    if (this.processes.some(({ isBusy, open }) => isBusy && open.some((one) => devices.includes(one))))
      throw new HeldUp('the kernel waits for somebody who keeps it busy there');
    this.pc.unplug(plugged.port);
    this.pc.plug(plugged.port, plugged.kind);
    return basename(id);
  }

  /** Whether anything makes it hard to take things back, or somebody outside has anything. */
  get isTroubled(): boolean {
    return (
      this.stalls.length > 0 ||
      this.processes.some(({ veil, isBusy }) => veil !== undefined || isBusy) ||
      this.containers.running.some(({ state }) => state === 'unclear') ||
      this.outsiders.some(({ open, inFlight }) => open.length + inFlight.length > 0)
    );
  }

  /** All that ends. */
  endTrouble(): void {
    this.stalls = [];
    for (const process of this.processes) unveil(process);
    for (const run of this.containers.running) if (run.state === 'unclear') run.state = 'running';
  }

  /** A thing that cannot be taken from a user for certain, because its driver stays bound, is unplugged and plugged again. */
  replugLoose(): void {
    for (const { units, port, kind } of [...this.pc.plugged.values()]) {
      const [unit] = units;
      if (unit === undefined || !isFixed(unit) || unit.subsystem === 'drm') continue;
      const owners: readonly string[] = ownersOf(this.wishes, unit);
      const isLoose = seats.some(
        (seat) =>
          !owners.includes(seat) &&
          this.journalOf(seat)
            ?.index.ofUnit(unit.id)
            .some(({ loose }) => loose),
      );
      if (!isLoose) continue;
      this.pc.unplug(port);
      this.pc.plug(port, kind);
    }
  }

  /** Whether a container's programs can open a device, or have it open. */
  reaches(run: Run, device: PcDevice): boolean {
    return holds(run, device) || (device.number !== undefined && this.map.opens(run.id, device.number));
  }
}
