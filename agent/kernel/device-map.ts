import { closeSync } from 'node:fs';
import { type DeviceNumber, numberText } from '../core/device.js';
import * as bpf from './bpf.js';
import { openAt } from './fs.js';
import { grantKey, guardedMajors, guardProgram, keySize, parseKey, valueSize } from './grant-program.js';

const mapName = 'hotseat_grants';
const guardName = 'hotseat_guard';
/** Enough for 64 seats of 200 nodes. */
const entries = 16_384;
const nowhere: DeviceNumber = { major: 0, minor: 0 };

export interface MapOptions {
  /** Mount point of the cgroup2 hierarchy: the guard hangs on its root. */
  readonly cgroupRoot: string;
  /** Majors to guard; tests guard others than input, sound and drm. */
  readonly majors?: readonly number[];
}

/**
 * The kernel's map of guarded containers and grants, with the guard that enforces it. Both outlive the agent: they are
 * found again through the program attached to the root of the hierarchy, so there is no file to lose.
 */
export class DeviceMap {
  private constructor(
    readonly fd: number,
    readonly majors: readonly number[],
    private readonly root: string,
  ) {}

  /** Finds the map and guard of a former run, or makes them; another version's guard is replaced in one instant. */
  static open({ cgroupRoot, majors = guardedMajors }: MapOptions): DeviceMap {
    const root = openAt(undefined, cgroupRoot);
    try {
      const former = findGuard(root);
      const fd = former?.map ?? bpf.createHash(mapName, keySize, valueSize, entries);
      const guard = bpf.load(bpf.programType.cgroupDevice, guardName, guardProgram(fd, majors));
      try {
        if (former === undefined) bpf.attach(root, guard);
        else if (former.tag !== bpf.programInfo(guard).tag) bpf.attach(root, guard, former.program);
      } finally {
        closeSync(guard);
        if (former !== undefined) closeSync(former.program);
      }
      return new DeviceMap(fd, majors, cgroupRoot);
    } finally {
      closeSync(root);
    }
  }

  guard(cgroup: bigint): void {
    bpf.insert(this.fd, grantKey(cgroup, nowhere), value(0n));
  }

  unguard(cgroup: bigint): void {
    bpf.remove(this.fd, grantKey(cgroup, nowhere));
  }

  /** Generation of a device number, to be read before anything about the device is checked, and handed to `grant`. */
  generation(number: DeviceNumber): bigint {
    const key = grantKey(0n, number);
    bpf.insert(this.fd, key, value(0n));
    return bpf.lookup(this.fd, key, valueSize)?.readBigUInt64LE(0) ?? 0n;
  }

  grant(cgroup: bigint, number: DeviceNumber, generation: bigint): void {
    bpf.update(this.fd, grantKey(cgroup, number), value(generation));
  }

  /** Takes a grant back; the number's generation is forgotten with the last grant that refers to it. */
  deny(cgroup: bigint, number: DeviceNumber): void {
    bpf.remove(this.fd, grantKey(cgroup, number));
    const others = this.read().some((entry) => entry.cgroup !== 0n && numberText(entry.number) === numberText(number));
    if (!others) bpf.remove(this.fd, grantKey(0n, number));
  }

  /** Grants in force, by cgroup; a grant whose device has gone is not among them. */
  inForce(): Map<bigint, Set<string>> {
    const all = this.read();
    const generations = new Map(
      all.filter(({ cgroup }) => cgroup === 0n).map(({ number, value: at }) => [numberText(number), at]),
    );
    const grants = new Map<bigint, Set<string>>();
    for (const { cgroup, number, value: at } of all) {
      if (cgroup === 0n || number.major === 0 || generations.get(numberText(number)) !== at) continue;
      const known = grants.get(cgroup);
      if (known === undefined) grants.set(cgroup, new Set([numberText(number)]));
      else known.add(numberText(number));
    }
    return grants;
  }

  /** Forgets everything about cgroups other than these: containers that went while nobody watched; and void grants. */
  purge(living: ReadonlySet<bigint>): void {
    const inForce = this.inForce();
    for (const { cgroup, number } of this.read()) {
      if (cgroup === 0n) continue;
      if (!living.has(cgroup)) bpf.remove(this.fd, grantKey(cgroup, number));
      else if (number.major !== 0 && inForce.get(cgroup)?.has(numberText(number)) !== true) this.deny(cgroup, number);
    }
    const used = new Set(this.read().flatMap(({ cgroup, number }) => (cgroup === 0n ? [] : [numberText(number)])));
    for (const { cgroup, number } of this.read()) {
      if (cgroup === 0n && !used.has(numberText(number))) bpf.remove(this.fd, grantKey(0n, number));
    }
  }

  /** Everything in the map, as it is. */
  read(): { cgroup: bigint; number: DeviceNumber; value: bigint }[] {
    const seen = new Map<string, { cgroup: bigint; number: DeviceNumber; value: bigint }>();
    for (const key of bpf.keys(this.fd, keySize)) {
      const held = bpf.lookup(this.fd, key, valueSize);
      if (held !== undefined) seen.set(key.toString('hex'), { ...parseKey(key), value: held.readBigUInt64LE(0) });
    }
    return [...seen.values()];
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
