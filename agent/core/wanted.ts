import { hidDeviceOf } from './hid.js';
import { Multimap } from './multimap.js';
import { isPlainId } from './plain.js';
import { type DesiredDevice, type DesiredSeat, nodeKey } from './state.js';

/**
 * The wanted devices of a seat, by unit, by record id and by name. Several devices can ask for one stable name: the
 * first has it, in the order of units, so that every look at them gives the same.
 */
export class Wanted {
  private readonly byUnit = new Map<string, readonly DesiredDevice[]>();
  private readonly ids = new Multimap<string, string>();
  private readonly nodes = new Multimap<string, string>();
  /** By link, the units that ask for it, in order. */
  private readonly links = new Map<string, string[]>();

  /** All of it, unit by unit. */
  get seat(): DesiredSeat {
    const units = [...this.byUnit.keys()].sort(unitOrder);
    return { devices: units.flatMap((unit) => this.of(unit)), unknown: [] };
  }

  /** How many units. */
  get size(): number {
    return this.byUnit.size;
  }

  /** The devices of a unit in the order of their announcement, each with the names that it has. */
  of(unit: string): DesiredDevice[] {
    const taken = new Set<string>();
    return (this.byUnit.get(unit) ?? []).map((device) => {
      const links = device.links.filter((link) => {
        const name = nodeKey(link);
        if (this.ownerOf(name) !== unit || taken.has(name)) return false;
        taken.add(name);
        return true;
      });
      return links.length === device.links.length ? device : { ...device, links };
    });
  }

  /** The unit that has a link. */
  ownerOf(link: string): string | undefined {
    return this.links.get(link)?.[0];
  }

  withId(id: string): ReadonlySet<string> {
    return this.ids.get(id);
  }

  withNode(node: string): ReadonlySet<string> {
    return this.nodes.get(node);
  }

  /** In the place of its former entry; nothing when empty. */
  set(unit: string, devices: readonly DesiredDevice[]): void {
    for (const { entry, links } of this.byUnit.get(unit) ?? []) {
      this.ids.delete(entry.id, unit);
      if (entry.node !== undefined) this.nodes.delete(nodeKey(entry.node), unit);
      for (const link of links) this.unlink(nodeKey(link), unit);
    }
    if (devices.length === 0) this.byUnit.delete(unit);
    else this.byUnit.set(unit, devices);
    for (const { entry, links } of devices) {
      this.ids.add(entry.id, unit);
      if (entry.node !== undefined) this.nodes.add(nodeKey(entry.node), unit);
      for (const link of links) this.link(nodeKey(link), unit);
    }
  }

  private link(name: string, unit: string): void {
    const units = this.links.get(name);
    if (units === undefined) this.links.set(name, [unit]);
    else if (!units.includes(unit)) {
      const at = units.findIndex((other) => unitOrder(unit, other) < 0);
      units.splice(at < 0 ? units.length : at, 0, unit);
    }
  }

  private unlink(name: string, unit: string): void {
    const others = this.links.get(name)?.filter((other) => other !== unit) ?? [];
    if (others.length === 0) this.links.delete(name);
    else this.links.set(name, others);
  }
}

/** By name, nodes in `/dev` itself last: where one of them cannot be mounted in the container, everything else is there already. */
export function unitOrder(a: string, b: string): number {
  const [aloneA, aloneB] = [a, b].map((unit) => hidDeviceOf(unit) !== undefined || isPlainId(unit));
  if (aloneA !== aloneB) return aloneA === true ? 1 : -1;
  return a < b ? -1 : a > b ? 1 : 0;
}
