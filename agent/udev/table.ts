import { basename } from 'node:path';
import { type Device, type Incarnation, parseNumber, type SeatSubsystem, type Unit } from '../core/device.js';
import { hidDeviceOf, hidDevicesAbove } from '../core/hid.js';
import { unitFrom, unitOf } from '../core/units.js';
import {
  enumerate,
  host,
  incarnationOf,
  inputsOf,
  lastSequence,
  type Roots,
  readDevice,
  surroundings,
} from './enumerate.js';
import { isOurs, type RawEvent } from './messages.js';
import type { UdevMessage } from './source.js';

/** Every device that udevd has finished with, by unit. Facts only: it knows no policy. */
export class DeviceTable {
  private units_ = new Map<string, Map<string, Device>>();
  private readonly received = new Map<string, bigint>();
  /** Raw nodes of HID devices, by syspath: they belong to no unit, but to all inputs of their device. */
  private raw = new Map<string, Device>();
  /** By HID device, its raw node and the units that are part of it. */
  private hids = new Map<string, { raw: string | undefined; readonly units: Set<string> }>();
  /** SEQNUM of the last message that the kernel had sent when everything was read. */
  private sequence = 0;

  constructor(private readonly roots: Roots = host) {}

  /** Takes in a message; returns the units, and the raw nodes, that it may have changed. */
  take(message: UdevMessage): Set<string> {
    return message.kind === 'event' ? this.takeEvent(message.event) : this.readAll();
  }

  /** A unit with all its devices, undefined when it does not exist or is not whole yet. */
  unit(id: string): Unit | undefined {
    const devices = this.units_.get(id);
    return devices === undefined ? undefined : unitFrom(id, [...devices.values()]);
  }

  /** Whether a device is plugged now; asks sysfs, because udevd's word may be late. */
  isPlugged({ syspath, incarnation }: Incarnation): boolean {
    const now = incarnationOf(syspath, this.roots);
    return now !== undefined && (incarnation === undefined || incarnation === now);
  }

  units(): Unit[] {
    return [...this.units_.keys()].flatMap((id) => this.unit(id) ?? []);
  }

  /** When the last message about a unit was received (CLOCK_MONOTONIC, ns); undefined when it was enumerated. */
  receivedNs(id: string): bigint | undefined {
    return this.received.get(id);
  }

  /** The raw node of a HID device as a unit of its own, which no policy judges; undefined when it does not exist. */
  rawUnit(id: string): Unit | undefined {
    const device = this.raw.get(id);
    return device && { id, subsystem: 'hidraw', head: device, nodes: [device] };
  }

  /** Every raw node that there is, by syspath. */
  raws(): Iterable<string> {
    return this.raw.keys();
  }

  /** The raw nodes at which something of these units is read; of raw nodes, they themselves, although they may have gone. */
  rawOf(ids: Iterable<string>): Set<string> {
    const found = new Set<string>();
    for (const id of ids) {
      if (hidDeviceOf(id) !== undefined) found.add(id);
      else for (const hid of hidDevicesAbove(id)) addDefined(found, this.hids.get(hid)?.raw);
    }
    return found;
  }

  /** Units that are read at a raw node. */
  readAt(raw: string): string[] {
    return [...(this.hids.get(hidDeviceOf(raw) ?? '')?.units ?? [])];
  }

  /** Names of inputs that are read at a raw node and of which udevd has said nothing yet; asks sysfs. */
  unheardAt(raw: string): string[] {
    const known = new Set(this.readAt(raw).map((id) => basename(id)));
    return inputsOf(hidDeviceOf(raw) ?? raw, this.roots).filter((name) => !known.has(name));
  }

  private takeEvent(event: RawEvent): Set<string> {
    const subsystem = event.properties['SUBSYSTEM'] ?? '';
    if (!isOurs(subsystem)) return new Set();
    const { syspath } = event;
    const unit = subsystem === 'hidraw' ? syspath : unitOf(subsystem, syspath);
    if (unit === undefined) return new Set();
    const device = this.said(event, subsystem);
    if (subsystem === 'hidraw') {
      if (device === undefined) this.removeRaw(syspath);
      else this.addRaw(device);
    } else if (device === undefined) this.remove(unit, syspath);
    else this.add(unit, device);
    if (device !== undefined) this.received.set(unit, BigInt(event.receivedNs));
    return new Set([unit]);
  }

  /**
   * What a device is after a message, undefined when it is gone. A message that was on its way while everything was read may be
   * older than what was read. The device is read again then: udevd writes its database before it sends a message.
   */
  private said(event: RawEvent, subsystem: SeatSubsystem): Device | undefined {
    if (Number(event.properties['SEQNUM']) <= this.sequence) return readDevice(event.syspath, subsystem, this.roots);
    return event.action === 'remove' ? undefined : this.fromEvent(event);
  }

  private readAll(): Set<string> {
    const before = [...this.units_.keys(), ...this.raw.keys()];
    this.units_ = new Map();
    this.raw = new Map();
    this.hids = new Map();
    this.received.clear();
    for (const device of enumerate(this.roots)) {
      const unit = unitOf(device.subsystem, device.syspath);
      if (device.subsystem === 'hidraw') this.addRaw(device);
      else if (unit !== undefined) this.add(unit, device);
    }
    this.sequence = lastSequence(this.roots);
    return new Set([...before, ...this.units_.keys(), ...this.raw.keys()]);
  }

  private add(unit: string, device: Device): void {
    const devices = this.units_.get(unit);
    if (devices === undefined) {
      this.units_.set(unit, new Map([[device.syspath, device]]));
      for (const hid of hidDevicesAbove(unit)) this.hid(hid).units.add(unit);
    } else devices.set(device.syspath, device);
  }

  private remove(unit: string, syspath: string): void {
    const devices = this.units_.get(unit);
    devices?.delete(syspath);
    if (devices?.size === 0) this.removeUnit(unit);
  }

  private removeUnit(unit: string): void {
    this.units_.delete(unit);
    this.received.delete(unit);
    for (const hid of hidDevicesAbove(unit)) {
      this.hids.get(hid)?.units.delete(unit);
      this.forget(hid);
    }
  }

  private addRaw(device: Device): void {
    const hid = hidDeviceOf(device.syspath);
    if (hid === undefined) return;
    this.raw.set(device.syspath, device);
    this.hid(hid).raw = device.syspath;
  }

  private removeRaw(syspath: string): void {
    this.raw.delete(syspath);
    this.received.delete(syspath);
    const hid = hidDeviceOf(syspath) ?? '';
    const known = this.hids.get(hid);
    if (known?.raw === syspath) known.raw = undefined;
    this.forget(hid);
  }

  /** A device as udevd's message describes it. */
  private fromEvent({ syspath, properties }: RawEvent): Device {
    const { ACTION: _action, SEQNUM: _sequence, TAGS, CURRENT_TAGS, DEVLINKS, ...rest } = properties;
    const number = parseNumber(`${rest['MAJOR']}:${rest['MINOR']}`);
    return Object.assign(surroundings(syspath, this.roots), {
      syspath,
      incarnation: incarnationOf(syspath, this.roots),
      subsystem: rest['SUBSYSTEM'] ?? '',
      sysname: basename(syspath).replaceAll('!', '/'),
      devtype: rest['DEVTYPE'],
      node: rest['DEVNAME'],
      number,
      properties: rest,
      tags: (CURRENT_TAGS ?? TAGS ?? '').split(':').filter((tag) => tag !== ''),
      links: (DEVLINKS ?? '').split(' ').filter((link) => link !== ''),
    });
  }

  private hid(hid: string): { raw: string | undefined; readonly units: Set<string> } {
    const known = this.hids.get(hid) ?? { raw: undefined, units: new Set<string>() };
    this.hids.set(hid, known);
    return known;
  }

  private forget(hid: string): void {
    const known = this.hids.get(hid);
    if (known?.raw === undefined && known?.units.size === 0) this.hids.delete(hid);
  }
}

function addDefined<T>(set: Set<T>, value: T | undefined): void {
  if (value !== undefined) set.add(value);
}
