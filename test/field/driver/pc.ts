// A PC out of the field, built of what people plug in.

import { basename } from 'node:path';
import { type Capabilities, pad } from './capabilities.js';
import { type Entry, Sysfs } from './sysfs.js';

/** An input: its name and capabilities. Its nodes are those of the kernel's handlers unless named. */
export interface Input {
  readonly name: string;
  readonly can: Capabilities;
  readonly phys?: string;
  readonly uniq?: string;
  /** `input7`; the next that is free unless given. */
  readonly as?: string;
}

/** A USB device's own words; `ids` as lsusb prints them. */
export interface UsbIds {
  readonly ids: string;
  readonly maker?: string;
  readonly product?: string;
  readonly serial?: string;
  readonly hub?: boolean;
}

const root = '/devices/pci0000:00';
const controller = `${root}/0000:00:14.0`;
/** Its ports are `pci-0000:00:14.0-usb-0:N` to udev. */
export const usbPort = (port: string): string => `pci-0000:00:14.0-usb-0:${port}`;

export class Pc {
  readonly sysfs = new Sysfs();
  private inputs = 0;
  private hids = 0;
  private raws = 0;
  private sounds = 0;
  private hasPs2 = false;
  private readonly usbs = new Map<string, string>();

  constructor() {
    this.add(root, {});
    this.pci('00:14.0', { ids: '8086:9d2f', class: '0c0330', driver: 'xhci_hcd' });
    this.usbDevice(`${controller}/usb1`, { ids: '1d6b:0002', product: 'xHCI Host Controller', hub: true });
  }

  add(path: string, entry: Entry): string {
    this.sysfs.add(path, entry);
    return path;
  }

  /** A function of the first bus: `00:02.0`. Further buses are named with the bridge before them: `00:01.0/01:00.0`. */
  pci(address: string, given: { readonly ids: string; readonly class: string; readonly driver: string }): string {
    const path = `${root}/${address
      .split('/')
      .map((part) => `0000:${part}`)
      .join('/')}`;
    const [vendor = '', device = ''] = given.ids.split(':');
    const uevent = { PCI_CLASS: given.class, PCI_ID: given.ids.toUpperCase(), PCI_SLOT_NAME: basename(path) };
    const attributes = { vendor: `0x${vendor}`, device: `0x${device}`, class: `0x${given.class}` };
    return this.add(path, { subsystem: 'pci', driver: given.driver, uevent, attributes });
  }

  /** Something at a port of the USB controller, `2.1` behind a hub at `2`; hubs that nobody plugged are plugged. */
  usb(port: string, given: UsbIds): UsbDevice {
    return new UsbDevice(this, this.usbDevice(this.pathOf(port), given), port, given.ids);
  }

  hub(port: string): void {
    this.usb(port, { ids: '05e3:0610', product: 'USB2.1 Hub', hub: true });
  }

  /** Something at a PS/2 port, by the name that the kernel gives the port. */
  ps2(port: string, input: Input): void {
    const at = '/devices/platform/i8042';
    if (!this.hasPs2) this.add(at, { subsystem: 'platform', driver: 'i8042' });
    this.hasPs2 = true;
    this.add(`${at}/${port}`, { subsystem: 'serio', driver: 'atkbd' });
    this.input(`${at}/${port}`, { bus: '0011', ids: '0001:0001' }, input);
  }

  /** A device that a program makes (uinput): it hangs on nothing. */
  virtual(input: Input): void {
    this.input('/devices/virtual', { bus: '0003', ids: '0fac:0ade' }, input);
  }

  /** A Bluetooth device by the kernel's own HIDP, at an adapter that is at a port, or by uhid, below nothing. */
  bluetooth(
    ids: string,
    address: string,
    inputs: readonly Input[],
    adapter?: { readonly link: string; readonly usb: UsbDevice },
  ): void {
    const above =
      adapter === undefined
        ? '/devices/virtual/misc/uhid'
        : this.add(`${adapter.usb.bluetoothHost()}/hci0:${adapter.link}`, {
            subsystem: 'bluetooth',
            uevent: { DEVTYPE: 'link' },
          });
    const hid = this.hid(above, '0005', ids, { name: inputs[0]?.name ?? '', uniq: address });
    for (const input of inputs)
      this.input(hid, { bus: '0005', ids }, { phys: 'aa:bb:cc:00:00:01', uniq: address, ...input });
  }

  /** A HID device below something; its name in sysfs has a number that counts up. */
  hid(
    above: string,
    bus: string,
    ids: string,
    given: { readonly name: string; readonly phys?: string; readonly uniq?: string },
  ): string {
    this.hids += 1;
    const [vendor = '', product = ''] = ids.toUpperCase().split(':');
    const uevent = {
      HID_ID: `${bus}:0000${vendor}:0000${product}`,
      ...{ HID_NAME: given.name, HID_PHYS: given.phys ?? '', HID_UNIQ: given.uniq ?? '' },
    };
    const path = `${above}/${bus}:${vendor}:${product}.${this.hids.toString(16).toUpperCase().padStart(4, '0')}`;
    return this.add(path, { subsystem: 'hid', driver: 'hid-generic', uevent, attributes: { country: '00' } });
  }

  /** A raw node of a HID device. */
  raw(hid: string): void {
    const name = `hidraw${this.raws++}`;
    this.add(`${hid}/hidraw/${name}`, { subsystem: 'hidraw', node: { number: `240:${name.slice(6)}`, name } });
  }

  input(
    above: string,
    { bus, ids }: { readonly bus: string; readonly ids: string },
    given: Input,
    directory = 'input',
  ): string {
    const { name, can, phys = '', uniq = '' } = given;
    const head = given.as ?? `input${this.inputs}`;
    const number = this.inputs++;
    const [vendor = '0000', product = '0000'] = ids.split(':');
    const { prop = '0', ...bits } = can;
    const path = [above, directory, head].filter((part) => part !== '').join('/');
    const modalias = `input:b${bus}v${vendor.toUpperCase()}p${product.toUpperCase()}e0111-e0,1`;
    const short = (text: string): string => text.replace(/^0+(?=.)/, '');
    this.add(path, {
      subsystem: 'input',
      uevent: {
        PRODUCT: [bus, vendor, product, '0111'].map(short).join('/'),
        ...{ NAME: `"${name}"`, PHYS: `"${phys}"`, UNIQ: `"${uniq}"`, PROP: prop },
        ...Object.fromEntries(Object.entries(bits).map(([key, value]) => [key.toUpperCase(), value])),
        MODALIAS: modalias,
      },
      attributes: {
        ...{ name, phys, uniq, properties: prop, modalias },
        ...{ 'id/bustype': bus, 'id/vendor': vendor, 'id/product': product, 'id/version': '0111' },
        ...Object.fromEntries(
          (['ev', 'key', 'rel', 'abs', 'msc', 'led', 'snd', 'ff', 'sw'] as const).map((kind) => [
            `capabilities/${kind}`,
            bits[kind] ?? '0',
          ]),
        ),
      },
    });
    const node = (handler: string, minor: number): void => {
      const at = `${handler}${number}`;
      this.add(`${path}/${at}`, { subsystem: 'input', node: { number: `13:${minor}`, name: `input/${at}` } });
    };
    node('event', number < 32 ? 64 + number : 256 + number);
    // The kernel's own handlers (drivers/input/mousedev.c, joydev.c) take these.
    if (can === pad || prop === '40') node('js', number);
    if (bits.rel === '903' || prop === '5') node('mouse', 32 + number);
    return path;
  }

  /** A sound card below a function; `nodes` beside its control node: `pcmC0D0p`, `umpC0D0`. */
  card(above: string, id: string, nodes: readonly string[]): string {
    const index = this.sounds++;
    const path = `${above}/sound/card${index}`;
    this.add(path, { subsystem: 'sound', attributes: { id, number: String(index) } });
    for (const [place, name] of [...nodes, 'controlC#'].entries()) {
      const node = name.replace('#', String(index));
      const number = `116:${index * 32 + place + 2}`;
      this.add(`${path}/${node}`, { subsystem: 'sound', node: { number, name: `snd/${node}` } });
    }
    return path;
  }

  /** A graphics card: `card1`, and its render node where it has one. */
  gpu(above: string, ...nodes: readonly string[]): void {
    for (const name of nodes) {
      const number = `226:${/\d+$/.exec(name)?.[0]}`;
      this.add(`${above}/drm/${name}`, {
        subsystem: 'drm',
        uevent: { DEVTYPE: 'drm_minor' },
        node: { number, name: `dri/${name}` },
      });
    }
  }

  private pathOf(port: string): string {
    const known = this.usbs.get(port);
    if (known !== undefined) return known;
    const at = port.lastIndexOf('.');
    const hub = at < 0 ? undefined : port.slice(0, at);
    if (hub !== undefined && !this.usbs.has(hub)) this.hub(hub);
    const path = `${hub === undefined ? `${controller}/usb1` : this.usbs.get(hub)}/1-${port}`;
    this.usbs.set(port, path);
    return path;
  }

  private usbDevice(path: string, { ids, maker, product, serial, hub = false }: UsbIds): string {
    const [vendor = '', model = ''] = ids.split(':');
    const attributes = {
      ...{
        idVendor: vendor,
        idProduct: model,
        bDeviceClass: hub ? '09' : '00',
        bcdDevice: '0100',
        busnum: '1',
        devnum: '5',
      },
      ...(maker === undefined ? {} : { manufacturer: maker }),
      ...(product === undefined ? {} : { product }),
      ...(serial === undefined ? {} : { serial }),
    };
    const uevent = {
      DEVTYPE: 'usb_device',
      PRODUCT: `${vendor}/${model}/100`,
      TYPE: hub ? '9/0/1' : '0/0/0',
      BUSNUM: '001',
      DEVNUM: '005',
    };
    return this.add(path, { subsystem: 'usb', driver: 'usb', uevent, attributes });
  }
}

/** Something that is plugged into USB. */
export class UsbDevice {
  private made = new Map<number, string>();

  constructor(
    private readonly pc: Pc,
    private readonly path: string,
    private readonly port: string,
    private readonly ids: string,
  ) {}

  /** A HID interface: its inputs, and a raw node where `raw`. */
  hid(number: number, inputs: readonly Input[], { raw = false, name = inputs[0]?.name ?? 'HID' } = {}): this {
    const { ids } = this;
    const phys = `usb-0000:00:14.0-${this.port}/input${number}`;
    const hid = this.pc.hid(this.interface(number, '03', 'usbhid'), '0003', ids, { name, phys });
    for (const input of inputs) this.pc.input(hid, { bus: '0003', ids }, { phys, ...input });
    if (raw) this.pc.raw(hid);
    return this;
  }

  /** A receiver: one HID device, and below it one for each thing that is paired with it (hid-logitech-dj.c). */
  receiver(number: number, paired: readonly (Input & { readonly ids: string })[]): this {
    const phys = `usb-0000:00:14.0-${this.port}/input${number}`;
    const own = this.pc.hid(this.interface(number, '03', 'usbhid'), '0003', this.ids, { name: 'Receiver', phys });
    for (const [slot, { ids, ...input }] of paired.entries()) {
      const at = `${phys}:${slot + 1}`;
      const hid = this.pc.hid(own, '0003', ids, {
        name: input.name,
        phys: at,
        ...(input.uniq === undefined ? {} : { uniq: input.uniq }),
      });
      this.pc.input(hid, { bus: '0003', ids }, { phys: at, ...input });
    }
    return this;
  }

  /** Controllers at an adapter of Microsoft's (xone): inputs below a `gipN` each, and the sound card of a headset where it has one. */
  gip(number: number, pads: readonly (Input & { readonly headset?: string })[]): this {
    for (const [index, { headset, ...input }] of pads.entries()) {
      const at = this.pc.add(`${this.interface(number, 'ff', 'xone-dongle')}/gip${index}`, { subsystem: 'xone-gip' });
      const client = (id: number) => this.pc.add(`${at}/gip${index}.${id}`, { subsystem: 'xone-gip' });
      this.pc.input(client(0), { bus: '0006', ids: this.ids }, { phys: `gip${index}.0/input0`, ...input });
      if (headset !== undefined) this.pc.card(client(1), headset, ['pcmC#D0p', 'pcmC#D0c']);
    }
    return this;
  }

  /** Inputs right below an interface, without HID: a pad by the driver xpad. */
  plain(number: number, input: Input, driver = 'xpad'): this {
    const phys = `usb-0000:00:14.0-${this.port}/input${number}`;
    this.pc.input(this.interface(number, 'ff', driver), { bus: '0003', ids: this.ids }, { phys, ...input });
    return this;
  }

  card(number: number, id: string, nodes: readonly string[]): this {
    this.pc.card(this.interface(number, '01', 'snd-usb-audio'), id, nodes);
    return this;
  }

  gpu(number: number, ...nodes: readonly string[]): this {
    this.pc.gpu(this.interface(number, 'ff', 'udl'), ...nodes);
    return this;
  }

  /** A platform device that a driver makes below the USB device itself. */
  platform(name: string, fill: (path: string) => void): this {
    fill(this.pc.add(`${this.path}/${name}`, { subsystem: 'platform', driver: name.replace(/\..*/, '') }));
    return this;
  }

  /** Of a Bluetooth adapter: the parent of its devices. */
  bluetoothHost(): string {
    const path = `${this.interface(0, 'e0', 'btusb')}/bluetooth/hci0`;
    if (!this.made.has(-1))
      this.made.set(-1, this.pc.add(path, { subsystem: 'bluetooth', uevent: { DEVTYPE: 'host' } }));
    return path;
  }

  private interface(number: number, usbClass: string, driver: string): string {
    const known = this.made.get(number);
    if (known !== undefined) return known;
    const path = `${this.path}/${basename(this.path)}:1.${number}`;
    const attributes = {
      bInterfaceNumber: String(number).padStart(2, '0'),
      ...{ bInterfaceClass: usbClass, bInterfaceSubClass: '01', bInterfaceProtocol: '01' },
    };
    this.pc.add(path, {
      subsystem: 'usb',
      driver,
      uevent: { DEVTYPE: 'usb_interface', INTERFACE: '3/1/1' },
      attributes,
    });
    this.made.set(number, path);
    return path;
  }
}
