import { basename } from 'node:path';
import { type Device, parseNumber, type Subsystem, type Unit } from '../core/device.js';
import { unitFrom, unitOf } from '../core/units.js';
import { enumerate, surroundings } from './enumerate.js';
import type { RawEvent } from './messages.js';
import type { UdevMessage } from './source.js';

/** Every device that udevd has finished with, by unit. Facts only: it knows no policy. */
export class DeviceTable {
  private units_ = new Map<string, Map<string, Device>>();
  private readonly received = new Map<string, bigint>();

  /** Takes in a message; returns the units that it may have changed. */
  take(message: UdevMessage): Set<string> {
    return message.kind === 'event' ? this.takeEvent(message.event) : this.readAll();
  }

  /** A unit with all its devices, undefined when it does not exist or is not whole yet. */
  unit(id: string): Unit | undefined {
    const devices = this.units_.get(id);
    return devices === undefined ? undefined : unitFrom(id, [...devices.values()]);
  }

  /** Whether a device exists, as far as udevd has said. */
  has(syspath: string): boolean {
    for (const devices of this.units_.values()) if (devices.has(syspath)) return true;
    return false;
  }

  units(): Unit[] {
    return [...this.units_.keys()].flatMap((id) => this.unit(id) ?? []);
  }

  /** When the last message about a unit was received (CLOCK_MONOTONIC, ns); undefined when it was enumerated. */
  receivedNs(id: string): bigint | undefined {
    return this.received.get(id);
  }

  private takeEvent(event: RawEvent): Set<string> {
    const subsystem = event.properties['SUBSYSTEM'] ?? '';
    const unit = unitOf(subsystem, event.syspath);
    if (unit === undefined) return new Set();
    const devices = this.units_.get(unit) ?? new Map<string, Device>();
    if (event.action === 'remove') {
      devices.delete(event.syspath);
      if (devices.size === 0) {
        this.units_.delete(unit);
        this.received.delete(unit);
      }
    } else {
      devices.set(event.syspath, fromEvent(event, subsystem as Subsystem));
      this.units_.set(unit, devices);
      this.received.set(unit, BigInt(event.receivedNs));
    }
    return new Set([unit]);
  }

  private readAll(): Set<string> {
    const before = this.units_;
    this.units_ = new Map();
    this.received.clear();
    for (const device of enumerate()) {
      const unit = unitOf(device.subsystem, device.syspath);
      if (unit === undefined) continue;
      const devices = this.units_.get(unit);
      if (devices === undefined) this.units_.set(unit, new Map([[device.syspath, device]]));
      else devices.set(device.syspath, device);
    }
    return new Set([...before.keys(), ...this.units_.keys()]);
  }
}

/** A device as udevd's message describes it. */
function fromEvent({ syspath, properties }: RawEvent, subsystem: Subsystem): Device {
  const { ACTION: _action, SEQNUM: _sequence, TAGS, CURRENT_TAGS, DEVLINKS, ...rest } = properties;
  const number = parseNumber(`${rest['MAJOR']}:${rest['MINOR']}`);
  return Object.assign(surroundings(syspath), {
    syspath,
    subsystem,
    sysname: basename(syspath).replaceAll('!', '/'),
    devtype: rest['DEVTYPE'],
    node: rest['DEVNAME'],
    number,
    properties: rest,
    tags: (CURRENT_TAGS ?? TAGS ?? '').split(':').filter((tag) => tag !== ''),
    links: (DEVLINKS ?? '').split(' ').filter((link) => link !== ''),
  });
}
