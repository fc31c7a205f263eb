import { realpathSync } from 'node:fs';
import { type DeviceNumber, numberText, parseNumber } from '../core/device.js';
import { cgroupId } from '../kernel/cgroup.js';
import type { DeviceMap } from '../kernel/device-map.js';
import { ensureOpener } from '../kernel/opener.js';

/** A device was unplugged before what udevd says of it could be acted upon. */
export class DeviceGone extends Error {
  override name = 'DeviceGone';
}

/** Device permissions of containers: one exact number each, in the kernel's map, in force only while the device lives. */
export class Grants {
  private inForce: ReadonlyMap<bigint, Set<string>>;
  private readonly ids = new Map<string, bigint>();

  constructor(private readonly map: DeviceMap) {
    this.inForce = map.inForce();
  }

  /** From now on the container can open only what it is granted, whatever its engine allows. Idempotent. */
  guard(cgroup: string): void {
    this.map.guard(this.id(cgroup));
    ensureOpener(this.map, cgroup);
  }

  /** Numbers that the container may open now. */
  of(cgroup: string): ReadonlySet<string> {
    return this.inForce.get(this.id(cgroup)) ?? new Set();
  }

  /**
   * Permits one device, whose head is at `syspath`. The generation is read before sysfs is asked whether the number is
   * still that device's: if it is unplugged at any time after, the kernel raises the generation and the grant is void.
   */
  grant(cgroup: string, number: DeviceNumber, syspath: string): void {
    const generation = this.map.generation(number);
    if (deviceOf(number) !== syspath) throw new DeviceGone(`${numberText(number)} is no longer ${syspath}`);
    this.map.grant(this.id(cgroup), number, generation);
    this.setOf(cgroup).add(numberText(number));
  }

  deny(cgroup: string, number: DeviceNumber): void {
    this.map.deny(this.id(cgroup), number);
    this.setOf(cgroup).delete(numberText(number));
  }

  /** Forgets a container that has gone, with all its grants. */
  drop(cgroup: string): void {
    const id = this.ids.get(cgroup);
    if (id === undefined) return;
    for (const text of this.inForce.get(id) ?? []) {
      const number = parseNumber(text);
      if (number !== undefined) this.map.deny(id, number);
    }
    this.map.unguard(id);
    this.ids.delete(cgroup);
    this.reread();
  }

  reread(): void {
    this.inForce = this.map.inForce();
  }

  private setOf(cgroup: string): Set<string> {
    const id = this.id(cgroup);
    const known = this.inForce.get(id);
    if (known !== undefined) return known;
    const fresh = new Set<string>();
    this.inForce = new Map([...this.inForce, [id, fresh]]);
    return fresh;
  }

  private id(cgroup: string): bigint {
    const known = this.ids.get(cgroup);
    if (known !== undefined) return known;
    const id = cgroupId(cgroup);
    this.ids.set(cgroup, id);
    return id;
  }
}

/** The device that has a number now. */
function deviceOf(number: DeviceNumber): string | undefined {
  try {
    return realpathSync(`/sys/dev/char/${numberText(number)}`);
  } catch {
    return undefined;
  }
}
