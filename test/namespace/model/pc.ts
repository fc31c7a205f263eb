import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type DeviceNumber, numberText, recordId, type SeatSubsystem } from '../../../agent/core/device.js';
import { namesIn } from '../../../agent/kernel/read.js';
import type { RawEvent } from '../../../agent/udev/messages.js';

/**
 * The things that can be plugged. The last four are HID devices with raw nodes: one input; a keyboard and a mouse in one; a receiver
 * with a keyboard and a mouse, which are HID devices of their own; and one without an input.
 */
export const kinds = ['keyboard', 'mouse', 'sound', 'card', 'pad', 'combo', 'receiver', 'key'] as const;
export type Kind = (typeof kinds)[number];

/** The kernel chooses the major of raw nodes when the first one comes. */
export const rawMajor = 240;

/** A device as sysfs and udev's database have it. */
export interface PcDevice {
  readonly syspath: string;
  readonly subsystem: SeatSubsystem;
  readonly number: DeviceNumber | undefined;
  /** Its name below `dev` in a seat's directory. */
  readonly node: string | undefined;
  readonly properties: Readonly<Record<string, string>>;
}

/** Devices of something plugged that travel together. */
export interface PcUnit {
  readonly port: number;
  /** Its syspath, as the program names it. */
  readonly id: string;
  readonly subsystem: SeatSubsystem;
  readonly isMouse: boolean;
  /** In the order in which they come. */
  readonly devices: readonly PcDevice[];
  /** Of a raw node, the inputs that are read at it. */
  readonly reads: readonly PcUnit[];
}

/** Something that is plugged now. Plugged again, it is another one. */
export interface Plugged {
  readonly port: number;
  readonly kind: Kind;
  /** In the order in which they come. */
  readonly units: readonly PcUnit[];
}

/** The units that are heard at a unit: the inputs below a raw node, and itself otherwise. */
export const heardAt = (unit: PcUnit): readonly PcUnit[] => (unit.reads.length > 0 ? unit.reads : [unit]);

/** Whether something done at one of two units is heard at the other one. */
const overhears = (a: PcUnit, b: PcUnit): boolean => heardAt(a).some((one) => heardAt(b).includes(one));

const dataRoot = '/run/udev/data';

/** ID_PATH of a device at a port. */
export const pathOf = (port: number): string => `pci-0000:00:14.0-usb-0:${port}:1.0`;

/** A PC of files: sysfs, udev's database, and the messages that udevd has sent and nobody has read yet. */
export class Pc {
  readonly plugged = new Map<number, Plugged>();
  messages: RawEvent[] = [];
  private inputs = 0;
  private hids = 0;
  /** Counts the kernel's messages. */
  private sequence = 0;

  /** `gone`: called for each number whose device is deleted, before the number is free. */
  constructor(private readonly gone: (number: DeviceNumber) => void) {
    for (const path of ['/sys', '/run/udev']) empty(path);
    for (const path of ['/sys/dev/char', '/sys/fs/cgroup', dataRoot]) mkdirSync(path, { recursive: true });
    mkdirSync('/sys/kernel');
    for (const subsystem of ['input', 'sound', 'drm', 'hidraw'])
      mkdirSync(`/sys/class/${subsystem}`, { recursive: true });
  }

  /** Nothing happens at a port that is taken. */
  plug(port: number, kind: Kind): void {
    if (this.plugged.has(port)) return;
    const made: Plugged = { port, kind, units: this.make(port, kind) };
    this.plugged.set(port, made);
    const devices = made.units.flatMap((unit) => unit.devices);
    for (const device of devices) this.show(device);
    for (const device of this.inTurn(devices)) this.say('add', device);
    // udevd says that a card is whole once its control node, the last, has come.
    for (const device of devices) if (isSoundHead(device)) this.say('change', device);
  }

  /** A HID device loses its inputs before its raw node (drivers/hid/hid-core.c, hid_disconnect). */
  unplug(port: number): void {
    for (const device of this.plugged.get(port)?.units.flatMap(({ devices }) => devices.toReversed()) ?? []) {
      if (device.number !== undefined) this.gone(device.number);
      this.hide(device);
      this.say('remove', device);
    }
    this.plugged.delete(port);
  }

  /** Devices in the order of udevd's messages: it works at several at a time, so that a raw node can precede the inputs. */
  private inTurn(devices: readonly PcDevice[]): readonly PcDevice[] {
    if (this.hids % 2 === 0) return devices;
    const isRaw = ({ subsystem }: PcDevice): boolean => subsystem === 'hidraw';
    return [...devices.filter(isRaw), ...devices.filter((device) => !isRaw(device))];
  }

  /** All units that are plugged. */
  get units(): PcUnit[] {
    return [...this.plugged.values()].flatMap(({ units }) => units);
  }

  /** The device that has a number now. */
  at(number: DeviceNumber): { readonly unit: PcUnit; readonly device: PcDevice } | undefined {
    for (const unit of this.units) {
      const device = unit.devices.find((one) => isSame(one.number, number));
      if (device !== undefined) return { unit, device };
    }
    return undefined;
  }

  /** The device that has a syspath now. */
  device(syspath: string): PcDevice | undefined {
    return this.units.flatMap(({ devices }) => devices).find((device) => device.syspath === syspath);
  }

  /** All devices at which something is heard of what is done at a unit. */
  hearing(unit: PcUnit): PcDevice[] {
    return this.units.filter((other) => overhears(unit, other)).flatMap(({ devices }) => devices);
  }

  private make(port: number, kind: Kind): PcUnit[] {
    const base = `/sys/devices/pci0000:00/0000:00:14.0/usb1/1-${port}/1-${port}:1.0`;
    const taken: DeviceNumber[] = [];
    const free = (major: number, from: number): DeviceNumber => {
      const number = this.free(major, from, taken);
      taken.push(number);
      return number;
    };
    const device = (
      subsystem: SeatSubsystem,
      syspath: string,
      more: Record<string, string> = {},
      number?: DeviceNumber,
      node?: string,
    ): PcDevice => ({ syspath, subsystem, number, node, properties: { ID_PATH: pathOf(port), ...more } });
    const unit = (id: string, devices: readonly PcDevice[], more: Partial<PcUnit> = {}): PcUnit => ({
      ...{ port, id, subsystem: devices[0]?.subsystem ?? 'input', devices, isMouse: false, reads: [] },
      ...more,
    });
    const input = (above: string, isMouse: boolean): PcUnit => {
      this.inputs += 1;
      const head = `${above}/input/input${this.inputs}`;
      const says = { ID_INPUT: '1', [isMouse ? 'ID_INPUT_MOUSE' : 'ID_INPUT_KEYBOARD']: '1' };
      const event = free(13, 64);
      const nodes = [{ name: `event${event.minor - 64}`, number: event }];
      if (isMouse) {
        const mouse = free(13, 32);
        nodes.push({ name: `mouse${mouse.minor - 32}`, number: mouse });
      }
      const made = nodes.map(({ name, number }) => device('input', `${head}/${name}`, says, number, `input/${name}`));
      return unit(head, [device('input', head, says), ...made], { isMouse });
    };
    const hid = (above: string): string => {
      this.hids += 1;
      return `${above}/0003:046D:C52B.${this.hids.toString(16).toUpperCase().padStart(4, '0')}`;
    };
    const raw = (above: string, reads: readonly PcUnit[]): PcUnit => {
      const number = free(rawMajor, 0);
      const name = `hidraw${number.minor}`;
      const id = `${above}/hidraw/${name}`;
      return unit(id, [device('hidraw', id, {}, number, `hidraw/${name}`)], { reads });
    };
    const withRaw = (above: string, inputs: readonly PcUnit[]): PcUnit[] => [...inputs, raw(above, inputs)];
    switch (kind) {
      case 'keyboard':
        return [input(base, false)];
      case 'mouse':
        return [input(base, true)];
      case 'pad': {
        const above = hid(base);
        return withRaw(above, [input(above, false)]);
      }
      case 'combo': {
        const above = hid(base);
        return withRaw(above, [input(above, false), input(above, true)]);
      }
      case 'receiver': {
        const above = hid(base);
        const paired = [false, true].flatMap((isMouse) => {
          const own = hid(above);
          return withRaw(own, [input(own, isMouse)]);
        });
        const inputs = paired.filter(({ subsystem }) => subsystem === 'input');
        return [...paired, raw(above, inputs)];
      }
      case 'key':
        return withRaw(hid(base), []);
      case 'sound': {
        const names = this.units.map(({ id }) => basename(id));
        const card = [0, 1, 2, 3, 4].find((index) => !names.includes(`card${index}`)) ?? 0;
        const head = `${base}/sound/card${card}`;
        const pcm = free(116, 0);
        const control = free(116, pcm.minor + 1);
        const node = (name: string, number: DeviceNumber) =>
          device('sound', `${head}/${name}`, {}, number, `snd/${name}`);
        const devices = [
          device('sound', head, { SOUND_INITIALIZED: '1' }),
          node(`pcmC${card}D0p`, pcm),
          node(`controlC${card}`, control),
        ];
        return [unit(head, devices)];
      }
      case 'card': {
        const [card, render] = [free(226, 0), free(226, 128)];
        const node = (name: string, number: DeviceNumber) =>
          device('drm', `${base}/drm/${name}`, {}, number, `dri/${name}`);
        return [unit(`${base}/drm`, [node(`card${card.minor}`, card), node(`renderD${render.minor}`, render)])];
      }
    }
  }

  /** The kernel gives away the lowest minor that is free. */
  private free(major: number, from: number, taken: readonly DeviceNumber[]): DeviceNumber {
    const isTaken = (minor: number): boolean =>
      this.at({ major, minor }) !== undefined || taken.some((one) => isSame(one, { major, minor }));
    let minor = from;
    while (isTaken(minor)) minor += 1;
    return { major, minor };
  }

  private show(device: PcDevice): void {
    const { syspath, subsystem, number, node, properties } = device;
    mkdirSync(syspath, { recursive: true });
    const numbers =
      number === undefined ? '' : `MAJOR=${number.major}\nMINOR=${number.minor}\nDEVNAME=${devname(node)}\n`;
    writeFileSync(join(syspath, 'uevent'), numbers);
    symlinkSync(syspath, `/sys/class/${subsystem}/${basename(syspath)}`);
    if (number !== undefined) {
      writeFileSync(join(syspath, 'dev'), numberText(number));
      symlinkSync(syspath, `/sys/dev/char/${numberText(number)}`);
    }
    const lines = Object.entries(properties).map(([key, value]) => `E:${key}=${value}\n`);
    writeFileSync(join(dataRoot, idOf(device)), lines.join(''));
  }

  private hide(device: PcDevice): void {
    const { syspath, subsystem, number } = device;
    rmSync(`/sys/class/${subsystem}/${basename(syspath)}`);
    if (number !== undefined) rmSync(`/sys/dev/char/${numberText(number)}`);
    rmSync(join(dataRoot, idOf(device)));
    rmSync(syspath, { recursive: true });
  }

  private say(action: string, device: PcDevice): void {
    const { syspath, subsystem, number, node, properties } = device;
    const { SOUND_INITIALIZED, ...rest } = properties;
    this.sequence += 1;
    writeFileSync('/sys/kernel/uevent_seqnum', `${this.sequence}\n`);
    this.messages.push({
      action,
      syspath,
      receivedNs: '0',
      properties: {
        ...(action === 'add' ? rest : properties),
        SUBSYSTEM: subsystem,
        SEQNUM: String(this.sequence),
        ...(number === undefined
          ? {}
          : { MAJOR: String(number.major), MINOR: String(number.minor), DEVNAME: `/dev/${devname(node)}` }),
      },
    });
  }
}

/** A device's name in udev's database. */
export const idOf = ({ subsystem, number, syspath }: PcDevice): string =>
  recordId({ subsystem, number, sysname: basename(syspath) });

export const isSame = (a: DeviceNumber | undefined, b: DeviceNumber): boolean =>
  a?.major === b.major && a.minor === b.minor;

/** Below /dev. */
const devname = (node = ''): string => node.replace('hidraw/', '');

const isSoundHead = ({ properties }: PcDevice): boolean => properties['SOUND_INITIALIZED'] !== undefined;

/** Removes the contents of a directory, which may be a mount point. */
export function empty(path: string): void {
  for (const name of namesIn(path)) rmSync(join(path, name), { recursive: true });
}
