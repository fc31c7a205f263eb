import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type DeviceNumber, numberText, recordId } from '../../../agent/core/device.js';
import { namesIn } from '../../../agent/kernel/read.js';
import type { RawEvent } from '../../../agent/udev/messages.js';

/** The things that can be plugged: each makes several devices, which travel together. */
export const kinds = ['keyboard', 'mouse', 'sound', 'card'] as const;
export type Kind = (typeof kinds)[number];

/** A device as sysfs and udev's database have it. */
export interface PcDevice {
  readonly syspath: string;
  readonly subsystem: string;
  readonly number: DeviceNumber | undefined;
  /** Its name below /dev. */
  readonly node: string | undefined;
  readonly properties: Readonly<Record<string, string>>;
}

/** Something that is plugged now. Plugged again, it is another one. */
export interface Plugged {
  readonly port: number;
  readonly kind: Kind;
  /** Syspath of the unit, as the program names it. */
  readonly unit: string;
  /** In the order in which they come. */
  readonly devices: readonly PcDevice[];
}

const dataRoot = '/run/udev/data';

/** ID_PATH of a device at a port. */
export const pathOf = (port: number): string => `pci-0000:00:14.0-usb-0:${port}:1.0`;

/** A PC of files: sysfs, udev's database, and the messages that udevd has sent and nobody has read yet. */
export class Pc {
  readonly plugged = new Map<number, Plugged>();
  messages: RawEvent[] = [];
  private inputs = 0;
  /** Counts the kernel's messages. */
  private sequence = 0;

  /** `gone`: called for each number whose device is deleted, before the number is free. */
  constructor(private readonly gone: (number: DeviceNumber) => void) {
    for (const path of ['/sys', '/run/udev']) empty(path);
    for (const path of ['/sys/dev/char', '/sys/fs/cgroup', dataRoot]) mkdirSync(path, { recursive: true });
    mkdirSync('/sys/kernel');
    for (const subsystem of ['input', 'sound', 'drm']) mkdirSync(`/sys/class/${subsystem}`, { recursive: true });
  }

  /** Nothing happens at a port that is taken. */
  plug(port: number, kind: Kind): void {
    if (this.plugged.has(port)) return;
    const made = this.make(port, kind);
    this.plugged.set(port, made);
    for (const device of made.devices) this.show(device);
    for (const device of made.devices) this.say('add', device);
    // udevd says that a card is whole once its control node, the last, has come.
    for (const device of made.devices) if (isSoundHead(device)) this.say('change', device);
  }

  unplug(port: number): void {
    const plugged = this.plugged.get(port);
    if (plugged === undefined) return;
    for (const device of plugged.devices.toReversed()) {
      if (device.number !== undefined) this.gone(device.number);
      this.hide(device);
      this.say('remove', device);
    }
    this.plugged.delete(port);
  }

  /** The device that has a number now. */
  at(number: DeviceNumber): { readonly plugged: Plugged; readonly device: PcDevice } | undefined {
    for (const plugged of this.plugged.values()) {
      const device = plugged.devices.find((one) => isSame(one.number, number));
      if (device !== undefined) return { plugged, device };
    }
    return undefined;
  }

  /** The device that has a syspath now. */
  device(syspath: string): PcDevice | undefined {
    return [...this.plugged.values()].flatMap(({ devices }) => devices).find((device) => device.syspath === syspath);
  }

  private make(port: number, kind: Kind): Plugged {
    const base = `/sys/devices/pci0000:00/0000:00:14.0/usb1/1-${port}/1-${port}:1.0`;
    const common = { ID_PATH: pathOf(port) };
    const device = (
      subsystem: string,
      syspath: string,
      more: Record<string, string> = {},
      number?: DeviceNumber,
      node?: string,
    ): PcDevice => ({ syspath, subsystem, number, node, properties: { ...common, ...more } });
    switch (kind) {
      case 'keyboard':
      case 'mouse': {
        const head = `${base}/input/input${++this.inputs}`;
        const says = { ID_INPUT: '1', [kind === 'mouse' ? 'ID_INPUT_MOUSE' : 'ID_INPUT_KEYBOARD']: '1' };
        const event = this.free(13, 64);
        const nodes = [{ name: `event${event.minor - 64}`, number: event }];
        if (kind === 'mouse') {
          const mouse = this.free(13, 32);
          nodes.push({ name: `mouse${mouse.minor - 32}`, number: mouse });
        }
        const made = nodes.map(({ name, number }) => device('input', `${head}/${name}`, says, number, `input/${name}`));
        return { port, kind, unit: head, devices: [device('input', head, says), ...made] };
      }
      case 'sound': {
        const taken = [...this.plugged.values()].map(({ unit }) => basename(unit));
        const card = [0, 1, 2, 3, 4].find((index) => !taken.includes(`card${index}`)) ?? 0;
        const head = `${base}/sound/card${card}`;
        const pcm = this.free(116, 0);
        const control = this.free(116, pcm.minor + 1);
        const node = (name: string, number: DeviceNumber) =>
          device('sound', `${head}/${name}`, {}, number, `snd/${name}`);
        const devices = [
          device('sound', head, { SOUND_INITIALIZED: '1' }),
          node(`pcmC${card}D0p`, pcm),
          node(`controlC${card}`, control),
        ];
        return { port, kind, unit: head, devices };
      }
      case 'card': {
        const [card, render] = [this.free(226, 0), this.free(226, 128)];
        const node = (name: string, number: DeviceNumber) =>
          device('drm', `${base}/drm/${name}`, {}, number, `dri/${name}`);
        const devices = [node(`card${card.minor}`, card), node(`renderD${render.minor}`, render)];
        return { port, kind, unit: `${base}/drm`, devices };
      }
    }
  }

  /** The kernel gives away the lowest minor that is free. */
  private free(major: number, from: number): DeviceNumber {
    let minor = from;
    while (this.at({ major, minor }) !== undefined) minor += 1;
    return { major, minor };
  }

  private show(device: PcDevice): void {
    const { syspath, subsystem, number, node, properties } = device;
    mkdirSync(syspath, { recursive: true });
    const numbers = number === undefined ? '' : `MAJOR=${number.major}\nMINOR=${number.minor}\nDEVNAME=${node}\n`;
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
          : { MAJOR: String(number.major), MINOR: String(number.minor), DEVNAME: `/dev/${node}` }),
      },
    });
  }
}

/** A device's name in udev's database. */
export const idOf = ({ subsystem, number, syspath }: PcDevice): string =>
  recordId({ subsystem, number, sysname: basename(syspath) });

export const isSame = (a: DeviceNumber | undefined, b: DeviceNumber): boolean =>
  a?.major === b.major && a.minor === b.minor;

const isSoundHead = ({ properties }: PcDevice): boolean => properties['SOUND_INITIALIZED'] !== undefined;

/** Removes the contents of a directory, which may be a mount point. */
export function empty(path: string): void {
  for (const name of namesIn(path)) rmSync(join(path, name), { recursive: true });
}
