import { closeSync } from 'node:fs';
import { type DeviceNumber, numberText } from '../core/device.js';
import { Multimap } from '../core/multimap.js';
import { hasAnswers } from './answers.js';
import * as bpf from './bpf.js';
import { isSysError } from './errors.js';
import { openAt } from './fs.js';
import { everyone, grantKey, guardProgram, keySize, owner, parseKey, type Uids, valueSize } from './grant-program.js';
import { guardedMajors } from './majors.js';

const mapName = 'hotseat_grants';
const guardName = 'hotseat_guard';
/** Enough for 64 seats of 200 nodes, each with a grant, a generation, and that it was granted once. */
const enough = 40_960;

/** Whether an entry is about a cgroup. */
const isCgroup = (id: bigint): boolean => id !== 0n && id < owner;
const nowhere: DeviceNumber = { major: 0, minor: 0 };

export interface MapOptions {
  /** Mount point of the cgroup2 hierarchy: the guard hangs on its root. */
  readonly cgroupRoot: string;
  /** Majors to guard; tests guard others than those of input, sound, drm and hidraw. */
  readonly majors?: readonly number[];
  /** Room for so many entries; tests fill smaller ones. */
  readonly entries?: number;
  /** Has the kernel void grants in a map, as `ensureWithdraw`: called before a larger map takes the place of a smaller one. */
  readonly watch?: (map: { readonly fd: number }) => void;
}

/**
 * The kernel's map of guarded containers and grants, with the guard that enforces it. Both outlive the agent: they are
 * found again through the program attached to the root of the hierarchy, so there is no file to lose.
 */
export class DeviceMap {
  /** How many it has room for. */
  private readonly entries: number;
  /** By number, the cgroups that it is granted to. Nobody else grants anything in this map. */
  private readonly holders = new Multimap<string, bigint>();

  private constructor(
    readonly fd: number,
    private guarded: readonly number[],
    private owners: readonly Uids[],
    /** Mount point of the cgroup2 hierarchy. */
    readonly root: string,
  ) {
    this.entries = bpf.mapEntries(fd);
    for (const [cgroup, numbers] of this.grants())
      for (const number of numbers.keys()) this.holders.add(number, cgroup);
  }

  /**
   * Finds the map and guard of a former run, or makes them; another version's guard is replaced in one instant. A map with
   * less room is copied into a larger one first.
   */
  static open({ cgroupRoot, majors = guardedMajors(), entries = enough, watch }: MapOptions): DeviceMap {
    const root = openAt(undefined, cgroupRoot);
    try {
      const former = findGuard(root);
      const isLarge = former !== undefined && bpf.mapEntries(former.map) >= entries;
      const fd = isLarge ? former.map : bpf.createHash(mapName, keySize, valueSize, entries);
      try {
        if (former !== undefined && !isLarge) copy(former.map, fd, watch);
        const known = readAll(fd, bpf.mapEntries(fd));
        const owners = ownersIn(known);
        // Some were covered only when a device of theirs came: a new agent's guard must not let them go for a moment.
        const all = [...new Set([...majors, ...grantedMajors(known)])];
        attachGuard(root, fd, { majors: all, owners }, former);
        return new DeviceMap(fd, all, owners, cgroupRoot);
      } finally {
        if (former !== undefined) closeSync(former.program);
        if (former !== undefined && !isLarge) closeSync(former.map);
      }
    } finally {
      closeSync(root);
    }
  }

  /** A map that no guard looks into, for nothing but itself; it is gone when it is closed. */
  static apart(entries = 16): DeviceMap {
    return new DeviceMap(bpf.createHash('hotseat_apart', keySize, valueSize, entries), [], [], '');
  }

  /** Majors of which a guarded cgroup opens nothing without a grant; another list when there are other ones. */
  get majors(): readonly number[] {
    return this.guarded;
  }

  /** From now on this major is guarded as well: the kernel chose it only after the guard was made. */
  cover(major: number): void {
    if (this.guarded.includes(major)) return;
    const majors = [...this.guarded, major];
    this.renew({ majors, owners: this.owners });
    this.guarded = majors;
  }

  /**
   * From now on processes of these users, and of no others, open no number that was ever granted in this boot, but in the
   * container that has it.
   */
  restrict(uids: readonly Uids[]): void {
    const owners = inOrder(uids);
    if (JSON.stringify(owners) === JSON.stringify(this.owners)) return;
    for (const { cgroup, number } of this.read()) {
      if (cgroup === owner) bpf.remove(this.fd, grantKey(owner, number));
      // A forerunner of this agent remembered numbers only while a user ran a seat.
      else if (cgroup === 0n) this.remember(number);
    }
    for (const { first, last } of owners) {
      roomy(this.fd, () => bpf.insert(this.fd, grantKey(owner, { major: first, minor: last }), value(0n)));
    }
    this.renew({ majors: this.guarded, owners });
    this.owners = owners;
  }

  private renew(whom: Guarded): void {
    const root = openAt(undefined, this.root);
    const former = findGuard(root);
    try {
      attachGuard(root, this.fd, whom, former);
    } finally {
      if (former !== undefined) for (const fd of [former.program, former.map]) closeSync(fd);
      closeSync(root);
    }
  }

  private remember(number: DeviceNumber): void {
    roomy(this.fd, () => bpf.insert(this.fd, grantKey(everyone, number), value(0n)));
  }

  /** From now on the cgroup opens nothing of the guarded majors without a grant. */
  guard(cgroup: bigint): void {
    roomy(this.fd, () => bpf.insert(this.fd, grantKey(cgroup, nowhere), value(0n)));
  }

  /** The engine's rules alone decide again. */
  unguard(cgroup: bigint): void {
    bpf.remove(this.fd, grantKey(cgroup, nowhere));
  }

  /** Generation of a device number, to be read before anything about the device is checked, and handed to `grant`. */
  generation(number: DeviceNumber): bigint {
    const key = grantKey(0n, number);
    // A counter that is made again starts where none ever was in this boot: a generation that was read before a number
    // was forgotten can never come true again.
    roomy(this.fd, () => bpf.insert(this.fd, key, value(process.hrtime.bigint())));
    return bpf.lookup(this.fd, key, valueSize)?.readBigUInt64LE(0) ?? 0n;
  }

  /** Permits a number to a cgroup, as long as that generation of it lasts. */
  grant(cgroup: bigint, number: DeviceNumber, generation: bigint): void {
    this.remember(number);
    roomy(this.fd, () => bpf.update(this.fd, grantKey(cgroup, number), value(generation)));
    if (isCgroup(cgroup)) this.holders.add(numberText(number), cgroup);
  }

  /** Takes a grant back; the number's generation is forgotten with the last grant that refers to it. */
  deny(cgroup: bigint, number: DeviceNumber): void {
    bpf.remove(this.fd, grantKey(cgroup, number));
    this.holders.delete(numberText(number), cgroup);
    if (this.holders.get(numberText(number)).size === 0) bpf.remove(this.fd, grantKey(0n, number));
  }

  /** By cgroup, the granted numbers, and whether the grant is in force: it is void when its device has gone. */
  grants(): Map<bigint, Map<string, boolean>> {
    const all = this.read();
    const generations = new Map(
      all.filter(({ cgroup }) => cgroup === 0n).map(({ number, value: at }) => [numberText(number), at]),
    );
    const grants = new Map<bigint, Map<string, boolean>>();
    for (const { cgroup, number, value: at } of all) {
      if (!isCgroup(cgroup) || number.major === 0) continue;
      const known = grants.get(cgroup) ?? new Map<string, boolean>();
      grants.set(cgroup, known.set(numberText(number), generations.get(numberText(number)) === at));
    }
    return grants;
  }

  /**
   * Forgets everything about cgroups other than these: containers that went while nobody watched; and void grants. Those
   * that are only `guarded` lose their grants.
   */
  purge(living: ReadonlySet<bigint>, guarded: ReadonlySet<bigint> = new Set()): void {
    const grants = this.grants();
    for (const { cgroup, number } of this.read()) {
      if (!isCgroup(cgroup) || (number.major === 0 && guarded.has(cgroup))) continue;
      if (!living.has(cgroup)) {
        bpf.remove(this.fd, grantKey(cgroup, number));
        this.holders.delete(numberText(number), cgroup);
      } else if (number.major !== 0 && grants.get(cgroup)?.get(numberText(number)) !== true) this.deny(cgroup, number);
    }
    const used = new Set(this.read().flatMap(({ cgroup, number }) => (isCgroup(cgroup) ? [numberText(number)] : [])));
    for (const { cgroup, number } of this.read()) {
      if (cgroup === 0n && !used.has(numberText(number))) bpf.remove(this.fd, grantKey(0n, number));
    }
  }

  /** Everything in the map, as it is. */
  read(): Entry[] {
    return readAll(this.fd, this.entries);
  }

  close(): void {
    closeSync(this.fd);
  }

  /** Takes the guard away: for an uninstallation and for tests, never for a stop. */
  remove(): void {
    const root = openAt(undefined, this.root);
    try {
      const former = findGuard(root);
      if (former === undefined) return;
      bpf.detach(root, former.program);
      closeSync(former.program);
      closeSync(former.map);
    } finally {
      closeSync(root);
    }
  }
}

/** The value in the map under one key. */
interface Entry {
  readonly cgroup: bigint;
  readonly number: DeviceNumber;
  readonly value: bigint;
}

function readAll(map: number, entries: number): Entry[] {
  const { count, keys, values } = bpf.elements(map, keySize, valueSize, entries);
  return Array.from({ length: count }, (_, index) => ({
    ...parseKey(keys.subarray(index * keySize, (index + 1) * keySize)),
    value: values.readBigUInt64LE(index * valueSize),
  }));
}

/**
 * Copies a map into a larger one that nobody looks into yet. A device may go meanwhile: from `watch` on the kernel
 * raises its generation in the larger map. Generations that it raised in the smaller map before that are read again
 * afterwards.
 */
function copy(former: number, map: number, watch: MapOptions['watch']): void {
  const entries = bpf.mapEntries(former);
  const copied = new Map<string, bigint>();
  for (const { cgroup, number, value: at } of readAll(former, entries)) {
    bpf.update(map, grantKey(cgroup, number), value(at));
    if (cgroup === 0n) copied.set(numberText(number), at);
  }
  watch?.({ fd: map });
  for (const { cgroup, number, value: at } of readAll(former, entries)) {
    if (cgroup !== 0n || copied.get(numberText(number)) === at) continue;
    bpf.update(map, grantKey(0n, number), value(at));
  }
}

/** Says in words that the map has no room (E2BIG, kernel/bpf/hashtab.c). */
function roomy<T>(map: number, put: () => T): T {
  try {
    return put();
  } catch (error) {
    if (!isSysError(error, 'E2BIG')) throw error;
    throw new Error(
      `the map of grants is full: it has room for ${bpf.mapEntries(map)} entries, up to three for each node`,
    );
  }
}

/** Of whom the guard forbids what. */
interface Guarded {
  readonly majors: readonly number[];
  readonly owners: readonly Uids[];
}

/** Majors of all numbers that were granted in this boot. */
const grantedMajors = (known: readonly Entry[]): number[] =>
  known.flatMap(({ cgroup, number: { major } }) =>
    major !== 0 && (cgroup === everyone || isCgroup(cgroup)) ? [major] : [],
  );

/** Whom a map restricts: also for an agent that has not read its policy yet. */
const ownersIn = (known: readonly Entry[]): Uids[] =>
  inOrder(
    known.flatMap(({ cgroup, number }) => (cgroup === owner ? [{ first: number.major, last: number.minor }] : [])),
  );

const inOrder = (uids: readonly Uids[]): Uids[] => uids.toSorted((a, b) => a.first - b.first || a.last - b.last);

/** Attaches the guard, in the place of a former guard that differs. */
function attachGuard(
  root: number,
  map: number,
  whom: Guarded,
  former: { readonly program: number; readonly tag: string; readonly map: number } | undefined,
): void {
  const instructions = guardProgram(map, { ...whom, answers: hasAnswers() });
  const guard = bpf.load(bpf.programType.cgroupDevice, guardName, instructions);
  try {
    if (former === undefined) bpf.attach(root, guard);
    // The tag is a hash of all but the map.
    else if (former.tag !== bpf.programInfo(guard).tag || bpf.mapId(former.map) !== bpf.mapId(map))
      bpf.attach(root, guard, former.program);
  } finally {
    closeSync(guard);
  }
}

function findGuard(root: number): { program: number; map: number; tag: string } | undefined {
  for (const id of bpf.attached(root).ids) {
    const program = bpf.programById(id);
    const { name, tag, mapIds } = bpf.programInfo(program);
    if (name === guardName) {
      for (const mapId of mapIds) {
        const map = bpf.mapById(mapId);
        if (bpf.mapName(map) === mapName) return { program, map, tag };
        closeSync(map);
      }
    }
    closeSync(program);
  }
  return undefined;
}

function value(number: bigint): Buffer {
  const buffer = Buffer.alloc(valueSize);
  buffer.writeBigUInt64LE(number, 0);
  return buffer;
}
