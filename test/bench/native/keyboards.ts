// Keyboards of files: what the kernel and udevd leave in sysfs and in udev's database, and what udevd says.

import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** One of udevd's messages about one device of a keyboard. */
export interface Said {
  readonly action: 'add' | 'change' | 'remove';
  readonly syspath: string;
  readonly tags: readonly string[];
  readonly properties: Readonly<Record<string, string>>;
}

/** A keyboard that is plugged. */
export interface Keyboard {
  readonly port: number;
  readonly head: string;
  readonly event: string;
  readonly minor: number;
}

const data = '/run/udev/data';
const subsystems = ['input', 'sound', 'drm', 'hidraw'];

/** ID_PATH of what is plugged into a port. */
export const pathOf = (port: number): string => `pci-0000:00:14.0-usb-0:${port}:1.0`;

/** Where sysfs and udev's database have to be this process's own: file systems that are mounted over them. */
export const places = ['/run', '/sys/devices', '/sys/class', '/sys/dev'];

export class Keyboards {
  private sequence = 1_000_000_000;
  private inputs = 0;
  /** The kernel gives away the lowest that is free. */
  private readonly minors = new Set<number>();

  constructor() {
    for (const path of [data, '/sys/dev/char', '/sys/devices']) mkdirSync(path, { recursive: true });
    for (const name of subsystems) mkdirSync(join('/sys/class', name), { recursive: true });
    // libudev joins no group where it finds no udevd (sd-device, device-monitor.c).
    writeFileSync('/run/udev/control', '');
  }

  /** Makes a keyboard's files; nobody is told of it. */
  plug(port: number): Keyboard {
    let minor = 64;
    while (this.minors.has(minor)) minor += 1;
    this.minors.add(minor);
    this.inputs += 1;
    const base = `/sys/devices/pci0000:00/0000:00:14.0/usb1/1-${port}/1-${port}:1.0`;
    const head = `${base}/input/input${this.inputs}`;
    const keyboard = { port, head, event: `${head}/event${minor - 64}`, minor };
    mkdirSync(keyboard.event, { recursive: true });
    writeFileSync(join(head, 'uevent'), 'NAME="Keys"\n');
    writeFileSync(join(keyboard.event, 'uevent'), `MAJOR=13\nMINOR=${minor}\nDEVNAME=input/event${minor - 64}\n`);
    writeFileSync(join(keyboard.event, 'dev'), `13:${minor}\n`);
    for (const path of [head, keyboard.event]) symlinkSync(path, `/sys/class/input/${basename(path)}`);
    symlinkSync(keyboard.event, `/sys/dev/char/13:${minor}`);
    for (const said of this.say('add', keyboard)) {
      const lines = Object.entries(said.properties).map(([key, value]) => `E:${key}=${value}\n`);
      const links = (said.properties['DEVLINKS'] ?? '').split(' ').filter((link) => link !== '');
      const text = [...links.map((link) => `S:${link.slice('/dev/'.length)}\n`), ...lines, 'V:1\n'].join('');
      writeFileSync(join(data, idOf(said.syspath, minor)), text);
    }
    return keyboard;
  }

  /** Removes its files. */
  unplug({ port, head, event, minor }: Keyboard): void {
    rmSync(`/sys/dev/char/13:${minor}`);
    for (const path of [head, event]) {
      rmSync(`/sys/class/input/${basename(path)}`);
      rmSync(join(data, idOf(path, minor)));
    }
    rmSync(`/sys/devices/pci0000:00/0000:00:14.0/usb1/1-${port}`, { recursive: true });
    this.minors.delete(minor);
  }

  /** udevd's messages about a keyboard: about its head and its event node, in the order of the action. */
  say(action: Said['action'], { port, head, event, minor }: Keyboard): Said[] {
    const common = {
      SUBSYSTEM: 'input',
      USEC_INITIALIZED: '4711',
      ID_INPUT: '1',
      ID_INPUT_KEY: '1',
      ID_INPUT_KEYBOARD: '1',
      ID_BUS: 'usb',
      ID_MODEL: 'Keys',
      ID_MODEL_ID: '0001',
      ID_SERIAL: `Maker_Keys_${port}`,
      ID_TYPE: 'hid',
      ID_USB_INTERFACES: ':030101:',
      ID_USB_INTERFACE_NUM: '00',
      ID_USB_DRIVER: 'usbhid',
      ID_VENDOR: 'Maker',
      ID_VENDOR_ID: '0627',
      ID_PATH: pathOf(port),
      ID_PATH_TAG: pathOf(port).replace(/\W/g, '_'),
      ID_FOR_SEAT: `input-${pathOf(port).replace(/\W/g, '_')}`,
    };
    const links = [`/dev/input/by-path/${pathOf(port)}-event-kbd`, `/dev/input/by-id/usb-Maker_Keys_${port}-event-kbd`];
    const all = [
      this.said(action, head, ['seat'], { ...common, NAME: '"Keys"', PRODUCT: '3/627/1/111' }),
      this.said(action, event, ['power-switch'], {
        ...common,
        DEVNAME: `/dev/input/event${minor - 64}`,
        MAJOR: '13',
        MINOR: String(minor),
        DEVLINKS: links.join(' '),
        LIBINPUT_DEVICE_GROUP: `3/627/1:usb-0000:00:14.0-${port}`,
      }),
    ];
    return action === 'remove' ? all.reverse() : all;
  }

  private said(
    action: Said['action'],
    syspath: string,
    tags: readonly string[],
    more: Readonly<Record<string, string>>,
  ): Said {
    this.sequence += 1;
    const properties = { DEVPATH: syspath.slice('/sys'.length), SEQNUM: String(this.sequence), ...more };
    return { action, syspath, tags, properties };
  }
}

/** The name of a device in udev's database. */
const idOf = (syspath: string, minor: number): string =>
  basename(syspath).startsWith('event') ? `c13:${minor}` : `+input:${basename(syspath)}`;
