import { hidDevicesAbove, overhears } from './hid.js';
import { Multimap } from './multimap.js';

/** Which seats have, or may still have, which units. The seats themselves keep this up to date. */
export class Tenants {
  private readonly seats = new Multimap<string, string>();
  /** Units that anybody has, by the HID devices that they are part of. */
  private readonly units = new Multimap<string, string>();

  /** `has`: whether the seat has any device of the unit from now on. */
  note(seat: string, unit: string, has: boolean): void {
    if (has) this.seats.add(unit, seat);
    else this.seats.delete(unit, seat);
    for (const hid of hidDevicesAbove(unit)) {
      if (this.seats.get(unit).size > 0) this.units.add(hid, unit);
      else this.units.delete(hid, unit);
    }
  }

  /**
   * Seats that can read the input of a unit: its seats, and the seats of a raw node of the same HID device, or the
   * other way round.
   */
  of(unit: string): ReadonlySet<string> {
    const related = hidDevicesAbove(unit).flatMap((hid) => [...this.units.get(hid)]);
    const heard = related.filter((other) => other !== unit && overhears(other, unit));
    if (heard.length === 0) return this.seats.get(unit);
    return new Set([unit, ...heard].flatMap((one) => [...this.seats.get(one)]));
  }
}
