// Input devices that QEMU cannot plug: made in the guest by its own kernel.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Process } from './channel.js';
import type { Lab } from './lab.js';
import { guestFiles } from './paths.js';

export type VirtualKind = 'keyboard' | 'mouse' | 'gamepad' | 'touchscreen' | 'touchpad' | 'tablet';

/** Speaks with a probe that serves in the guest. Its devices go when it ends. */
class Server {
  private constructor(
    private readonly lab: Lab,
    private readonly probe: string,
    private readonly process: Process,
  ) {}

  static async start(lab: Lab, probe: string): Promise<Server> {
    await lab.putFile(`/root/${probe}`, await readFile(join(guestFiles, 'probes', probe)));
    await lab.sh('modprobe -a uinput uhid');
    const server = new Server(lab, probe, lab.start(['python3', '-u', `/root/${probe}`, 'serve']));
    await server.answered('ready');
    return server;
  }

  async ask(command: string, id: string, ...rest: string[]): Promise<void> {
    const before = this.process.stdout.length;
    this.process.write(`${[command, id, ...rest].join(' ')}\n`);
    await this.answered(`${command} ${id}`, before);
  }

  private async answered(what: string, from = 0): Promise<void> {
    let failure: unknown;
    this.process.done.catch((error: unknown) => {
      failure = error;
    });
    await this.lab.until(
      `${this.probe}: ${what}`,
      async () => {
        if (failure !== undefined) throw failure;
        return this.process.stdout.slice(from).includes(what);
      },
      20_000,
    );
  }
}

export class VirtualDevices {
  private constructor(private readonly server: Server) {}

  static async start(lab: Lab): Promise<VirtualDevices> {
    return new VirtualDevices(await Server.start(lab, 'virtual.py'));
  }

  /** By uinput. Policies match the name with NAME, between quotes that the kernel adds. */
  plug(id: string, kind: VirtualKind, name: string): Promise<void> {
    return this.server.ask('plug', id, kind, name);
  }

  /** A keyboard on the Bluetooth bus, by uhid, with an address of its own. */
  plugBluetooth(id: string, address: string, name: string): Promise<void> {
    return this.server.ask('bluetooth', id, address, name);
  }

  /** A key (its evdev code) or, of a Bluetooth keyboard, a usage of HID's keyboard page. */
  press(id: string, code: number): Promise<void> {
    return this.server.ask('press', id, String(code));
  }

  unplug(id: string): Promise<void> {
    return this.server.ask('unplug', id);
  }
}

/** HID devices with the devices that the kernel makes of them: inputs, and a raw node beside them. */
export class HidDevices {
  private constructor(private readonly server: Server) {}

  static async start(lab: Lab): Promise<HidDevices> {
    return new HidDevices(await Server.start(lab, 'hid.py'));
  }

  /** `pad`: one input; `both`: a keyboard and a mouse in one, whose names end in their kinds. */
  plug(id: string, kind: 'pad' | 'both', name: string): Promise<void> {
    return this.server.ask('plug', id, kind, name);
  }

  /** An input report, as hexadecimal digits. */
  report(id: string, hex: string): Promise<void> {
    return this.server.ask('report', id, hex);
  }

  unplug(id: string): Promise<void> {
    return this.server.ask('unplug', id);
  }
}
