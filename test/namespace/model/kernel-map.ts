import { type DeviceNumber, numberText } from '../../../agent/core/device.js';
import type { DeviceMap } from '../../../agent/kernel/device-map.js';
import type { Uids } from '../../../agent/kernel/grant-program.js';

type Entry = ReturnType<DeviceMap['read']>[number];

const nowhere: DeviceNumber = { major: 0, minor: 0 };
const keyOf = (cgroup: bigint, number: DeviceNumber): string => `${cgroup} ${numberText(number)}`;

/** Something goes on right before and after each change of the map. */
type Act = <T>(run: () => T) => T;

/** The kernel's map of grants and generations, in memory; the kernel raises a generation when a device goes. */
export class KernelMap implements Pick<DeviceMap, keyof DeviceMap> {
  readonly fd = -1;
  majors: readonly number[] = [];
  readonly root = '/sys/fs/cgroup';
  /** The agent that lives now goes through this; the kernel does not. */
  act: Act = (run) => run();
  /** Called with every grant, before it is in force. */
  granting: (cgroup: bigint, number: DeviceNumber) => void = () => undefined;
  private readonly entries = new Map<string, Entry>();
  private clock = 0n;
  /** Whom the guard forbids what any seat ever had. */
  private owners: readonly Uids[] = [];
  private readonly remembered = new Set<string>();

  /** The kernel's action when the device of a number is deleted. */
  withdraw(number: DeviceNumber): void {
    const generation = this.get(0n, number);
    if (generation !== undefined) this.put(0n, number, generation + 1n);
  }

  /** Whether a container's processes can open the number now. */
  opens(cgroup: bigint, number: DeviceNumber): boolean {
    const grant = this.get(cgroup, number);
    return grant !== undefined && grant === this.get(0n, number);
  }

  has(cgroup: bigint, number: DeviceNumber): boolean {
    return this.get(cgroup, number) !== undefined;
  }

  isGuarded(cgroup: bigint): boolean {
    return this.has(cgroup, nowhere);
  }

  guard(cgroup: bigint): void {
    this.act(() => this.put(cgroup, nowhere, 0n));
  }

  unguard(cgroup: bigint): void {
    this.act(() => this.entries.delete(keyOf(cgroup, nowhere)));
  }

  generation(number: DeviceNumber): bigint {
    const known = this.get(0n, number);
    if (known !== undefined) return known;
    // Far above every earlier counter of this number, as the clock of a boot is.
    this.clock += 1_000_000n;
    this.put(0n, number, this.clock);
    return this.clock;
  }

  grant(cgroup: bigint, number: DeviceNumber, generation: bigint): void {
    this.act(() => {
      this.granting(cgroup, number);
      this.remembered.add(numberText(number));
      this.put(cgroup, number, generation);
    });
  }

  deny(cgroup: bigint, number: DeviceNumber): void {
    this.act(() => {
      this.entries.delete(keyOf(cgroup, number));
      this.forgetUnused();
    });
  }

  grants(): Map<bigint, Map<string, boolean>> {
    const grants = new Map<bigint, Map<string, boolean>>();
    for (const { cgroup, number } of this.read()) {
      if (cgroup === 0n || number.major === 0) continue;
      const known = grants.get(cgroup) ?? new Map<string, boolean>();
      grants.set(cgroup, known.set(numberText(number), this.opens(cgroup, number)));
    }
    return grants;
  }

  purge(living: ReadonlySet<bigint>, guarded: ReadonlySet<bigint> = new Set()): void {
    this.act(() => {
      for (const { cgroup, number } of this.read()) {
        if (cgroup === 0n || (number.major === 0 && guarded.has(cgroup))) continue;
        const isVoid = number.major !== 0 && !this.opens(cgroup, number);
        if (!living.has(cgroup) || isVoid) this.entries.delete(keyOf(cgroup, number));
      }
      this.forgetUnused();
    });
  }

  read(): Entry[] {
    return [...this.entries.values()];
  }

  cover(major: number): void {
    if (!this.majors.includes(major)) this.majors = [...this.majors, major];
  }

  restrict(owners: readonly Uids[]): void {
    if (JSON.stringify(owners) === JSON.stringify(this.owners)) return;
    this.act(() => {
      this.owners = owners;
    });
  }

  /** Whether a process of a user, outside of all containers, can open a number. */
  opensOutside(uid: number, number: DeviceNumber): boolean {
    const isOwner = this.owners.some(({ first, last }) => uid >= first && uid <= last);
    return !(isOwner && this.remembered.has(numberText(number)));
  }

  close(): void {}
  remove(): void {}

  /** A generation goes with the last grant of its number. */
  private forgetUnused(): void {
    const used = new Set(this.read().flatMap(({ cgroup, number }) => (cgroup === 0n ? [] : [numberText(number)])));
    for (const { cgroup, number } of this.read()) {
      if (cgroup === 0n && !used.has(numberText(number))) this.entries.delete(keyOf(0n, number));
    }
  }

  private get(cgroup: bigint, number: DeviceNumber): bigint | undefined {
    return this.entries.get(keyOf(cgroup, number))?.value;
  }

  private put(cgroup: bigint, number: DeviceNumber, value: bigint): void {
    this.entries.set(keyOf(cgroup, number), { cgroup, number, value });
  }
}
