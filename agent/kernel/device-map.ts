import { closeSync } from 'node:fs';
import { type DeviceNumber, numberText } from '../core/device.js';
import * as bpf from './bpf.js';
import { openAt } from './fs.js';
import { grantKey, guardProgram, keySize, parseKey, valueSize } from './grant-program.js';
import { guardedMajors } from './majors.js';

const mapName = 'hotseat_grants';
const guardName = 'hotseat_guard';
/** Enough for 64 seats of 200 nodes. */
const entries = 16_384;
const nowhere: DeviceNumber = { major: 0, minor: 0 };

export interface MapOptions {
  /** Mount point of the cgroup2 hierarchy: the guard hangs on its root. */
  readonly cgroupRoot: string;
  /** Majors to guard; tests guard others than those of input, sound, drm and hidraw. */
  readonly majors?: readonly number[];
}

/**
 * The kernel's map of guarded containers and grants, with the guard that enforces it. Both outlive the agent: they are
 * found again through the program attached to the root of the hierarchy, so there is no file to lose.
 */
export class DeviceMap {
  private constructor(
    readonly fd: number,
    private guarded: readonly number[],
    /** Mount point of the cgroup2 hierarchy. */
    readonly root: string,
  ) {}

  /** Finds the map and guard of a former run, or makes them; another version's guard is replaced in one instant. */
  static open({ cgroupRoot, majors = guardedMajors() }: MapOptions): DeviceMap {
    const root = openAt(undefined, cgroupRoot);
    try {
      const former = findGuard(root);
      const fd = former?.map ?? bpf.createHash(mapName, keySize, valueSize, entries);
      try {
        attachGuard(root, fd, majors, former);
      } finally {
        if (former !== undefined) closeSync(former.program);
      }
      return new DeviceMap(fd, majors, cgroupRoot);
    } finally {
      closeSync(root);
    }
  }

  /** Majors of which a guarded cgroup opens nothing without a grant; another list when there are other ones. */
  get majors(): readonly number[] {
    return this.guarded;
  }

  /** From now on this major is guarded as well: the kernel chose it only after the guard was made. */
  cover(major: number): void {
    if (this.guarded.includes(major)) return;
    const root = openAt(undefined, this.root);
    const majors = [...this.guarded, major];
    const former = findGuard(root);
    try {
      attachGuard(root, this.fd, majors, former);
      this.guarded = majors;
    } finally {
      if (former !== undefined) for (const fd of [former.program, former.map]) closeSync(fd);
      closeSync(root);
    }
  }

  /** From now on the cgroup opens nothing of the guarded majors without a grant. */
  guard(cgroup: bigint): void {
    bpf.insert(this.fd, grantKey(cgroup, nowhere), value(0n));
  }

  /** The engine's rules alone decide again. */
  unguard(cgroup: bigint): void {
    bpf.remove(this.fd, grantKey(cgroup, nowhere));
  }

  /** Generation of a device number, to be read before anything about the device is checked, and handed to `grant`. */
  generation(number: DeviceNumber): bigint {
    const key = grantKey(0n, number);
    // A counter that is made anew starts where none ever was in this boot: a generation that was read before a number
    // was forgotten can never come true again.
    bpf.insert(this.fd, key, value(process.hrtime.bigint()));
    return bpf.lookup(this.fd, key, valueSize)?.readBigUInt64LE(0) ?? 0n;
  }

  /** Permits a number to a cgroup, as long as that generation of it lasts. */
  grant(cgroup: bigint, number: DeviceNumber, generation: bigint): void {
    bpf.update(this.fd, grantKey(cgroup, number), value(generation));
  }

  /** Takes a grant back; the number's generation is forgotten with the last grant that refers to it. */
  deny(cgroup: bigint, number: DeviceNumber): void {
    bpf.remove(this.fd, grantKey(cgroup, number));
    // Whether anybody else holds the number is asked of the raw keys: 16 bytes each, the cgroup in the first eight.
    const { count, keys } = bpf.elements(this.fd, keySize, valueSize, entries);
    const wanted = grantKey(0n, number).subarray(8);
    for (let at = 0; at < count * keySize; at += keySize) {
      if (keys.compare(wanted, 0, 8, at + 8, at + keySize) === 0 && keys.readBigUInt64LE(at) !== 0n) return;
    }
    bpf.remove(this.fd, grantKey(0n, number));
  }

  /** By cgroup, the granted numbers, and whether the grant is in force: it is void when its device has gone. */
  grants(): Map<bigint, Map<string, boolean>> {
    const all = this.read();
    const generations = new Map(
      all.filter(({ cgroup }) => cgroup === 0n).map(({ number, value: at }) => [numberText(number), at]),
    );
    const grants = new Map<bigint, Map<string, boolean>>();
    for (const { cgroup, number, value: at } of all) {
      if (cgroup === 0n || number.major === 0) continue;
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
      if (cgroup === 0n || (number.major === 0 && guarded.has(cgroup))) continue;
      if (!living.has(cgroup)) bpf.remove(this.fd, grantKey(cgroup, number));
      else if (number.major !== 0 && grants.get(cgroup)?.get(numberText(number)) !== true) this.deny(cgroup, number);
    }
    const used = new Set(this.read().flatMap(({ cgroup, number }) => (cgroup === 0n ? [] : [numberText(number)])));
    for (const { cgroup, number } of this.read()) {
      if (cgroup === 0n && !used.has(numberText(number))) bpf.remove(this.fd, grantKey(0n, number));
    }
  }

  /** Everything in the map, as it is. */
  read(): { cgroup: bigint; number: DeviceNumber; value: bigint }[] {
    const { count, keys, values } = bpf.elements(this.fd, keySize, valueSize, entries);
    return Array.from({ length: count }, (_, index) => ({
      ...parseKey(keys.subarray(index * keySize, (index + 1) * keySize)),
      value: values.readBigUInt64LE(index * valueSize),
    }));
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

/** Attaches the guard, in the place of a former one that is another. */
function attachGuard(
  root: number,
  map: number,
  majors: readonly number[],
  former: { readonly program: number; readonly tag: string } | undefined,
): void {
  const guard = bpf.load(bpf.programType.cgroupDevice, guardName, guardProgram(map, majors));
  try {
    if (former === undefined) bpf.attach(root, guard);
    else if (former.tag !== bpf.programInfo(guard).tag) bpf.attach(root, guard, former.program);
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
