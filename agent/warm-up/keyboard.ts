import { mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { UdevMessage } from '../udev/source.js';

/** The kernel gives such a minor to nobody: it has 20 bits of them, and evdev uses a few hundred (evdev.c, EVDEV_MINORS). */
const minor = 0xf_ffff;

/** ID_PATH of the port that it is plugged into. */
export const port = 'pci-0000:00:00.0-usb-0:1:1.0';

const bus = '/sys/devices/pci0000:00/0000:00:00.0/usb1/1-1/1-1:1.0/0003:0000:0000.0000';
const head = `${bus}/input/input0`;
const event = `${head}/event0`;

/** Makes what the kernel has of a keyboard in sysfs, below `sys`. */
export function makeFiles(sys: string): void {
  const place = join(sys, event.slice('/sys/'.length));
  mkdirSync(place, { recursive: true });
  const link = join(sys, `dev/char/13:${minor}`);
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(place, link);
}

/** The messages of udevd when a keyboard is plugged, in this order. When it goes, the order is the other one. */
export function messages(action: 'add' | 'remove'): UdevMessage[] {
  const common = {
    ACTION: action,
    SUBSYSTEM: 'input',
    USEC_INITIALIZED: '1',
    ID_INPUT: '1',
    ID_INPUT_KEY: '1',
    ID_INPUT_KEYBOARD: '1',
    ID_BUS: 'usb',
    ID_MODEL: 'Keyboard',
    ID_SERIAL: 'Maker_Keyboard',
    ID_VENDOR: 'Maker',
    ID_PATH: port,
    ID_PATH_TAG: port.replace(/\W/g, '_'),
    ID_FOR_SEAT: `input-${port.replace(/\W/g, '_')}`,
  };
  const said = (syspath: string, tag: string, more: Readonly<Record<string, string>>): UdevMessage => ({
    kind: 'event',
    event: {
      action,
      syspath,
      receivedNs: String(process.hrtime.bigint()),
      properties: {
        ...{ DEVPATH: syspath.slice('/sys'.length), SEQNUM: '1', TAGS: `:${tag}:`, CURRENT_TAGS: `:${tag}:` },
        ...common,
        ...more,
      },
    },
  });
  const all = [
    said(head, 'seat', { NAME: '"Keyboard"', PRODUCT: '3/0/0/0' }),
    said(event, 'power-switch', {
      ...{ DEVNAME: '/dev/input/event0', MAJOR: '13', MINOR: String(minor) },
      DEVLINKS: `/dev/input/by-path/${port}-event-kbd /dev/input/by-id/usb-Maker_Keyboard-event-kbd`,
    }),
  ];
  return action === 'add' ? all : all.reverse();
}
