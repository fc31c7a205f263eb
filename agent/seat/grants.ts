import { type DeviceNumber, type Incarnation, numberText, parseNumber } from '../core/device.js';
import { cgroupId, cgroupOf, isPopulated } from '../kernel/cgroup.js';
import { isStillAt } from '../kernel/device-at.js';
import type { DeviceMap } from '../kernel/device-map.js';
import type { DevicesV1 } from '../kernel/devices-v1.js';
import { openDoors } from '../kernel/doors.js';
import type { Uids } from '../kernel/grant-program.js';
import { type ProcessRef, processKey } from '../kernel/process-key.js';
import { inodeOf } from '../kernel/read.js';
import type { RecordFile } from '../kernel/record-file.js';

/** A device was unplugged before what udevd says of it could be acted upon. */
export class DeviceGone extends Error {
  override name = 'DeviceGone';
}

/** Device permissions of containers: one exact number each, in the kernel's map, in force only while the device lives. */
export class Grants {
  private held: Map<bigint, Map<string, boolean>>;
  private readonly ids = new Map<string, bigint>();
  /** Where the groups were that were known once: the rules of v1 go by names. */
  private readonly paths = new Map<bigint, string>();

  /** Groups that are guarded, by id; on record, because an id does not tell a later agent where its group is. */
  private readonly guarded: Map<string, string>;

  /** Groups that are guarded only because nobody can tell whose they are, by id. */
  private readonly confined = new Map<bigint, string>();

  /** `v1`: where engines keep their rules on a hybrid host, besides or instead of device programs. `sys`: where sysfs is. */
  constructor(
    private readonly map: DeviceMap,
    private readonly v1?: DevicesV1,
    private readonly record?: RecordFile<string>,
    private readonly sys = '/sys',
  ) {
    this.held = map.grants();
    this.guarded = record?.read() ?? new Map();
  }

  /**
   * From now on the container can open only granted devices, even where its engine allows more. Idempotent. It is the
   * group that has this path now: grants of a former one of the same path stay on record until they are dropped.
   */
  guard(cgroup: string): void {
    const id = cgroupId(cgroup);
    this.id(cgroup);
    this.confined.delete(id);
    this.guardGroup(id, cgroup);
  }

  private guardGroup(id: bigint, cgroup: string): void {
    const wasGuarded = this.guarded.has(String(id));
    this.guarded.set(String(id), cgroup);
    try {
      this.record?.write(this.guarded);
      this.map.guard(id);
    } catch (error) {
      // It is to be tried again.
      if (!wasGuarded) this.guarded.delete(String(id));
      throw error;
    }
  }

  /**
   * Guards groups of which nobody can tell now which container is in there, so that it opens nothing that it was not granted. When
   * it can be told again, only the containers of seats (`kept`) stay guarded. An agent that starts again does not know why
   * a group is guarded, and leaves it so while a process is in there. Returns the groups for which that could not be done, and
   * why: the trouble of one is not that of others.
   */
  confine(untold: readonly string[], kept: readonly string[]): ReadonlyMap<string, Error> {
    const now = new Map<bigint, string>();
    const failed = new Map<string, Error>();
    const attempt = (cgroup: string, action: () => void): void => {
      try {
        action();
      } catch (error) {
        failed.set(cgroup, error as Error);
      }
    };
    for (const cgroup of untold) {
      attempt(cgroup, () => {
        const id = inodeOf(cgroup);
        if (id === undefined) return;
        now.set(id, cgroup);
        if (this.guarded.has(String(id))) return;
        this.confined.set(id, cgroup);
        this.guardGroup(id, cgroup);
      });
    }
    for (const [id, cgroup] of this.confined) {
      if (now.has(id) || failed.has(cgroup)) continue;
      attempt(cgroup, () => {
        if (!kept.includes(cgroup)) this.unguard(id);
        this.confined.delete(id);
      });
    }
    return failed;
  }

  /** From now on the programs of others let granted devices through. Idempotent. */
  open(cgroup: string, init: ProcessRef): void {
    const lowest = cgroupOf(init.pid);
    // After its group was read: a process that is still there had its pid then.
    if (processKey(init.pid) !== init.key) throw new Error(`process ${init.pid} has ended`);
    if (lowest === undefined) throw new Error(`process ${init.pid} is in no cgroup2 group`);
    openDoors(this.map, cgroup, lowest);
    this.v1?.open(cgroup, init.pid, numbersIn(this.of(cgroup), true));
  }

  /** Of these a guarded container opens nothing without a grant; another list when there are other ones. */
  get majors(): readonly number[] {
    return this.map.majors;
  }

  /** From now on a guarded container can open only granted devices of this major as well. Idempotent. */
  cover(major: number): void {
    this.map.cover(major);
  }

  /**
   * From now on no process of these users opens a number that a seat was ever granted, except in the container that has
   * it. A user can take processes out of the groups of his container, so a guard by groups is not enough.
   */
  restrict(owners: readonly Uids[]): void {
    this.map.restrict(owners);
  }

  /** Numbers that were granted to the container, and whether it may open them now: not when the device has gone. */
  of(cgroup: string): ReadonlyMap<string, boolean> {
    return this.held.get(this.id(cgroup)) ?? new Map();
  }

  /**
   * Permits one device. The generation is read before sysfs is asked whether the number is still that very device's: if it is
   * unplugged at any time after, the kernel raises the generation and the grant is void.
   */
  grant(cgroup: string, number: DeviceNumber, device: Incarnation): void {
    const id = this.id(cgroup);
    const generation = this.map.generation(number);
    if (!isStillAt(number, device, this.sys)) {
      this.v1?.deny(cgroup, number);
      this.map.deny(id, number); // and with it the generation, if nobody else refers to it
      throw new DeviceGone(`${numberText(number)} is no longer ${device.syspath}`);
    }
    this.map.grant(id, number, generation);
    this.held.set(id, (this.held.get(id) ?? new Map<string, boolean>()).set(numberText(number), true));
    // On record first: rules of ours in v1 can then always be told from the engine's own.
    this.v1?.allow(cgroup, number);
  }

  deny(cgroup: string, number: DeviceNumber): void {
    this.v1?.deny(cgroup, number);
    this.map.deny(this.id(cgroup), number);
    this.held.get(this.id(cgroup))?.delete(numberText(number));
  }

  /**
   * Takes all its grants from a container that has gone or was emptied. The guard stays while any process is left in
   * the group: a process without its init may still open the same devices as the init. An emptied container is as it
   * was before it was a seat's. `id`: of that very group, because the path can be another container's by now.
   */
  drop(cgroup: string, id: bigint, { emptied = false } = {}): void {
    const isThere = isStill(cgroup, id);
    if (isThere) for (const number of numbersIn(this.held.get(id))) this.v1?.deny(cgroup, number);
    this.forget(cgroup, id);
    if (emptied || !isThere || !isPopulated(cgroup)) this.unguard(id);
    this.reread();
  }

  /**
   * Forgets every container but these: their seat may have gone, or got another container, while no agent ran. Of these
   * it forgets grants that are no longer in force. The guard of any other stays while a process is left in its group.
   */
  keep(cgroups: readonly string[]): void {
    // Asked again: another one may have the name of a former one by now.
    const kept = new Map(
      cgroups.flatMap((cgroup): [bigint, string][] => {
        const id = inodeOf(cgroup);
        return id === undefined ? [] : [[id, cgroup]];
      }),
    );
    for (const [id, cgroup] of kept) this.paths.set(id, cgroup);
    for (const [id, cgroup] of this.paths) {
      for (const number of numbersIn(this.held.get(id), kept.has(id) ? false : undefined))
        this.v1?.deny(cgroup, number);
      if (!kept.has(id)) this.paths.delete(id);
    }
    const lingering = this.lingering(new Set(kept.keys()));
    this.map.purge(new Set(kept.keys()), lingering);
    for (const id of this.guarded.keys()) {
      if (!kept.has(BigInt(id)) && !lingering.has(BigInt(id))) this.guarded.delete(id);
    }
    this.record?.write(this.guarded);
    for (const [cgroup, id] of this.ids) if (!kept.has(id)) this.ids.delete(cgroup);
    this.reread();
  }

  /**
   * Reads the map again, and forgets guards of groups that nobody is left in. A group may be gone before anybody had anything
   * of it to drop, or when only a former agent had: the next one of the same path is not taken for it.
   */
  reread(): void {
    for (const [id, cgroup] of this.paths) if (!isStill(cgroup, id)) this.forget(cgroup, id);
    const living = new Set(this.ids.values());
    const lingering = this.lingering(living);
    for (const id of [...this.guarded.keys()].map(BigInt)) {
      if (!living.has(id) && !lingering.has(id)) this.unguard(id);
    }
    this.held = this.map.grants();
  }

  /** Groups other than these that are guarded and not empty. */
  private lingering(others: ReadonlySet<bigint>): Set<bigint> {
    const isThere = ([id, cgroup]: [bigint, string]) => !others.has(id) && isPopulated(cgroup) && isStill(cgroup, id);
    const guarded = [...this.guarded].map(([id, cgroup]): [bigint, string] => [BigInt(id), cgroup]);
    return new Set(guarded.filter(isThere).map(([id]) => id));
  }

  private forget(cgroup: string, id: bigint): void {
    for (const number of numbersIn(this.held.get(id))) this.map.deny(id, number);
    if (this.ids.get(cgroup) === id) this.ids.delete(cgroup);
    this.paths.delete(id);
  }

  private unguard(id: bigint): void {
    this.map.unguard(id);
    this.guarded.delete(String(id));
    this.record?.write(this.guarded);
  }

  private id(cgroup: string): bigint {
    const known = this.ids.get(cgroup);
    if (known !== undefined) return known;
    const id = cgroupId(cgroup);
    this.ids.set(cgroup, id);
    this.paths.set(id, cgroup);
    return id;
  }
}

/** Whether the group of an id still is the one at a path. */
const isStill = (cgroup: string, id: bigint): boolean => inodeOf(cgroup) === id;

/** The numbers of grants: of all, or of those that are in force, or of those that are void. */
const numbersIn = (grants: ReadonlyMap<string, boolean> | undefined, inForce?: boolean): DeviceNumber[] =>
  [...(grants ?? [])].flatMap(([text, now]) =>
    inForce === undefined || inForce === now ? (parseNumber(text) ?? []) : [],
  );
