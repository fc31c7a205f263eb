import { basename } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import {
  type Device,
  type DeviceNumber,
  type Incarnation,
  parseNumber,
  type SeatSubsystem,
  type Unit,
} from '../core/device.js';
import { hidDeviceOf, hidDevicesAbove } from '../core/hid.js';
import { Multimap } from '../core/multimap.js';
import { physicalOf } from '../core/physical.js';
import { isPlainId, plainId } from '../core/plain.js';
import { unitFrom, unitOf } from '../core/units.js';
import { isPlainThere, plainNumber } from '../kernel/device-at.js';
import { connectorNames, connectorStatuses } from './connectors.js';
import {
  enumerate,
  host,
  incarnationOf,
  inputsOf,
  lastSequence,
  listed,
  type Roots,
  readDevice,
  type SlowReader,
  surroundings,
  syspathOf,
} from './enumerate.js';
import { isOurs, type RawEvent } from './messages.js';
import type { UdevMessage } from './source.js';

/** Nobody waits longer than this for something else to be read, ms. */
const longestPiece = 4;

/** Every device that udevd has finished with, by unit. Facts only: it knows no policy. */
export class DeviceTable {
  private units_ = new Map<string, Map<string, Device>>();
  private readonly received = new Map<string, bigint>();
  /** Raw nodes of HID devices, by syspath: they belong to no unit, but to all inputs of their device. */
  private raw = new Map<string, Device>();
  /** By HID device, its raw node and the units that are part of it. */
  private hids = new Map<string, { raw: string | undefined; readonly units: Set<string> }>();
  /** By physical thing, the units that are parts of it. */
  private things = new Multimap<string, string>();
  /** The same of raw nodes. */
  private rawThings = new Multimap<string, string>();
  /** By card, the last state of each of its connectors. */
  private readonly monitors = new Map<string, ReadonlyMap<string, string>>();
  /** SEQNUM of the last message that the kernel had sent when everything was read. */
  private sequence = 0;

  /** `slow`: where attributes come from that nobody may wait for; read at once unless given. */
  constructor(
    private readonly roots: Roots = host,
    private readonly slow?: SlowReader,
  ) {}

  /** Takes in a message; returns the units, and the raw nodes, that it may have changed. */
  take(message: UdevMessage): Set<string> {
    return message.kind === 'event' ? this.takeEvent(message.event) : this.readAll();
  }

  /**
   * Reads everything again, a few devices at a time, so that nobody waits for it: messages are taken in meanwhile.
   * Settles with the units and raw nodes that have changed.
   */
  async readAgain(): Promise<Set<string>> {
    const changed = new Set<string>();
    const seen = new Set<string>();
    let began = performance.now();
    const rest = async (): Promise<void> => {
      if (performance.now() - began < longestPiece) return;
      this.sequence = lastSequence(this.roots);
      await turn();
      began = performance.now();
    };
    for (const one of listed(this.roots)) {
      const syspath = syspathOf(one, this.roots);
      if (syspath === undefined) continue;
      seen.add(syspath);
      addDefined(changed, this.renew(syspath, one.subsystem));
      await rest();
    }
    for (const { syspath, subsystem } of this.devices()) {
      if (!seen.has(syspath) && isOurs(subsystem)) addDefined(changed, this.renew(syspath, subsystem));
      await rest();
    }
    this.sequence = lastSequence(this.roots);
    return changed;
  }

  /** A unit with all its devices, undefined when it does not exist or is not whole yet. */
  unit(id: string): Unit | undefined {
    const devices = this.units_.get(id);
    const unit = devices === undefined ? undefined : unitFrom(id, [...devices.values()]);
    if (unit?.subsystem !== 'drm') return unit;
    return { ...unit, connectors: connectorNames(unit.head.syspath, this.roots) };
  }

  /** Whether a device is plugged now; asks sysfs, because udevd's word may be late. */
  isPlugged({ syspath, incarnation }: Incarnation): boolean {
    if (isPlainId(syspath)) return isPlainThere({ syspath, incarnation });
    const now = incarnationOf(syspath, this.roots);
    return now !== undefined && (incarnation === undefined || incarnation === now);
  }

  /** As `plainNumber`, by the name in `/dev`. Nothing tells when such a node comes or goes: it is looked at each time. */
  plainNumber(name: string): DeviceNumber | undefined {
    return plainNumber(plainId(name));
  }

  units(): Unit[] {
    return [...this.units_.keys()].flatMap((id) => this.unit(id) ?? []);
  }

  /** The other parts of the same physical thing. */
  partsOf(id: string): Unit[] {
    return [...this.things.get(physicalOf(id))].flatMap((part) => (part === id ? [] : (this.unit(part) ?? [])));
  }

  /** These units, and all that is the same physical thing as one of them: whose it is can depend on that. */
  withParts(ids: Iterable<string>): Set<string> {
    const all = new Set(ids);
    for (const id of [...all]) for (const part of this.things.get(physicalOf(id))) all.add(part);
    return all;
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

  /** Names of a card's connectors at which there is a monitor now and was none at the last call, or the other way round. */
  changedConnectors(id: string): string[] {
    const head = this.unit(id)?.head;
    if (head === undefined) return [];
    const before = this.monitors.get(id);
    const now = connectorStatuses(head.syspath, this.roots);
    this.monitors.set(id, now);
    return before === undefined ? [] : [...now.keys()].filter((name) => before.get(name) !== now.get(name));
  }

  rawUnits(): Unit[] {
    return [...this.raw.keys()].flatMap((raw) => this.rawUnit(raw) ?? []);
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
      // One without an input can come along with another part of its device.
      for (const raw of this.rawThings.get(physicalOf(id))) found.add(raw);
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
    const unit = placeOf(subsystem, syspath);
    if (unit === undefined) return new Set();
    const device = this.said(event, subsystem);
    this.put(unit, syspath, device);
    if (device !== undefined) this.received.set(unit, BigInt(event.receivedNs));
    return new Set([unit]);
  }

  /** Reads one device again; returns its unit, or the raw node that it is, when it has changed. */
  private renew(syspath: string, subsystem: SeatSubsystem): string | undefined {
    const unit = placeOf(subsystem, syspath);
    if (unit === undefined) return undefined;
    const known = subsystem === 'hidraw' ? this.raw.get(syspath) : this.units_.get(unit)?.get(syspath);
    const device = readDevice(syspath, subsystem, this.roots, this.slow);
    if (isDeepStrictEqual(known && factsOf(known), device && factsOf(device))) return undefined;
    this.put(unit, syspath, device);
    return unit;
  }

  /** `device`: undefined when it is gone. */
  private put(unit: string, syspath: string, device: Device | undefined): void {
    const isRaw = hidDeviceOf(unit) !== undefined;
    if (device === undefined) {
      if (isRaw) this.removeRaw(syspath);
      else this.remove(unit, syspath);
    } else if (isRaw) this.addRaw(device);
    else this.add(unit, device);
  }

  private devices(): Device[] {
    return [...[...this.units_.values()].flatMap((devices) => [...devices.values()]), ...this.raw.values()];
  }

  /**
   * The device after a message, undefined when it is gone. A message that was on its way while everything was read may
   * be older than the facts that were read. The device is read again then: udevd writes its database before it sends a
   * message.
   */
  private said(event: RawEvent, subsystem: SeatSubsystem): Device | undefined {
    if (Number(event.properties['SEQNUM']) <= this.sequence)
      return readDevice(event.syspath, subsystem, this.roots, this.slow);
    return event.action === 'remove' ? undefined : this.fromEvent(event);
  }

  private readAll(): Set<string> {
    const before = [...this.units_.keys(), ...this.raw.keys()];
    this.units_ = new Map();
    this.raw = new Map();
    this.hids = new Map();
    this.things = new Multimap();
    this.rawThings = new Multimap();
    this.received.clear();
    for (const device of enumerate(this.roots, this.slow)) {
      const { subsystem, syspath } = device;
      const unit = isOurs(subsystem) ? placeOf(subsystem, syspath) : undefined;
      if (unit !== undefined) this.put(unit, syspath, device);
    }
    this.sequence = lastSequence(this.roots);
    return new Set([...before, ...this.units_.keys(), ...this.raw.keys()]);
  }

  private add(unit: string, device: Device): void {
    const devices = this.units_.get(unit);
    if (devices === undefined) {
      this.units_.set(unit, new Map([[device.syspath, device]]));
      for (const hid of hidDevicesAbove(unit)) this.hid(hid).units.add(unit);
      this.things.add(physicalOf(unit), unit);
    } else devices.set(device.syspath, device);
  }

  private remove(unit: string, syspath: string): void {
    const devices = this.units_.get(unit);
    devices?.delete(syspath);
    if (devices?.size === 0) this.removeUnit(unit);
  }

  private removeUnit(unit: string): void {
    this.units_.delete(unit);
    this.monitors.delete(unit);
    this.received.delete(unit);
    this.things.delete(physicalOf(unit), unit);
    for (const hid of hidDevicesAbove(unit)) {
      this.hids.get(hid)?.units.delete(unit);
      this.forget(hid);
    }
  }

  private addRaw(device: Device): void {
    const hid = hidDeviceOf(device.syspath);
    if (hid === undefined) return;
    this.raw.set(device.syspath, device);
    this.rawThings.add(physicalOf(device.syspath), device.syspath);
    this.hid(hid).raw = device.syspath;
  }

  private removeRaw(syspath: string): void {
    this.raw.delete(syspath);
    this.rawThings.delete(physicalOf(syspath), syspath);
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
    return Object.assign(surroundings(syspath, this.roots, this.slow), {
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

/** The unit of a device, or the raw node itself; undefined for a device that can belong to no unit. */
const placeOf = (subsystem: SeatSubsystem, syspath: string): string | undefined =>
  subsystem === 'hidraw' ? hidDeviceOf(syspath) && syspath : unitOf(subsystem, syspath);

/** All facts of a device, without those that are read only when a rule asks. */
const factsOf = ({ incarnation, number, node, devtype, properties, tags, links }: Device) => ({
  ...{ incarnation, number, node, devtype, properties, tags, links },
});
