// One QEMU process: the PC with a screen for the host and one for each seat, a USB hub for each, and a control channel.
//
// States are files of QEMU's migration next to a qcow2 overlay: starting from one costs no copy of the disk.

import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { type Accel, accel } from './accel.js';
import { Channel } from './channel.js';
import { sayCosts } from './costs.js';
import { exists, type Image } from './image.js';
import { step } from './progress.js';
import { Qmp } from './qmp.js';
import { recipe } from './recipe.js';

export type Place = 'host' | 'left' | 'right';
export const places: readonly Place[] = ['host', 'left', 'right'];

/** PCI slots and xHCI ports are fixed, because policy files name them. */
export const gpu = {
  host: { id: 'gpu0', pci: '0000:00:02.0' },
  left: { id: 'gpu1', pci: '0000:00:03.0' },
  right: { id: 'gpu2', pci: '0000:00:04.0' },
} as const;
export const hub = {
  left: { id: 'hub-left', port: '1' },
  right: { id: 'hub-right', port: '2' },
  host: { id: 'hub-host', port: '3' },
} as const;
/** For `usb-audio`, in the place of silence: QEMU writes down what a sound card is sent, two channels of 16 bits; see `recording()`. */
export const recorded = { host: 'sound-host', left: 'sound-left', right: 'sound-right' } as const;
export const recordedRate = 48_000;
/** Whose card has a second output on a PC that is booted so; no monitor is at it until a test plugs one. */
export const twoOutputs: Place = 'right';
export const screen = { width: 1024, height: 768 };

/**
 * Processors of the PC. Emulated, two of them are 1.5 times as quick as one while a core of the machine has nothing else to
 * do, and slower when none has: the runner says how many there are for each of the PCs that it runs beside each other.
 */
export const cpus = Number(process.env['HOTSEAT_LAB_CPUS'] ?? 2);

export type DeviceArgs = { driver: string; id: string } & Record<string, string | number | boolean>;

/** A machine at rest: its disk (an overlay), its memory and devices, and the plugged ones. */
export interface State {
  readonly disk: string;
  readonly memory: string;
  readonly plugged: DeviceArgs[];
}

/** The kernel that QEMU boots, as a boot loader would say it. */
export interface Kernel {
  /** Beside those of the recipe. */
  readonly arguments?: readonly string[];
  /** Another initramfs than the image's. */
  readonly initrd?: string;
}

interface Start {
  readonly kernelArguments: readonly string[];
  readonly from?: State;
  readonly hasTwoOutputs?: boolean;
}

/** The QEMU process of a machine that is on. */
interface Power {
  readonly pid: number | undefined;
  readonly qmp: Qmp;
  readonly channel: Channel;
  /** Settles when the process has ended. */
  readonly ended: Promise<unknown>;
  kill(): void;
}

/**
 * A state is a sparse file, in which each page of memory has its place, and pages of zeros are holes (QEMU,
 * docs/devel/migration/mapped-ram.rst). QEMU does not touch those when it goes on. From a stream it reads each of them first, and then the
 * machine has to find memory for all 3 GB of the PC: that took up to 14 s.
 */
const capabilities = ['events', 'mapped-ram'].map((capability) => ({ capability, state: true }));

export class Machine {
  readonly plugged = new Map<string, DeviceArgs>();
  private readonly mouse = new Map<string, number>();
  private readonly points = new Map<string, DeviceArgs[]>();
  private power: Power;

  private constructor(
    readonly dir: string,
    readonly accel: Accel,
    /** QEMU's command line, without the state that it starts from. */
    private readonly command: (kernel: Kernel | undefined) => readonly string[],
    power: Power,
  ) {
    this.power = power;
  }

  get qmp(): Qmp {
    return this.power.qmp;
  }

  get channel(): Channel {
    return this.power.channel;
  }

  /**
   * Boots `image` with these further kernel arguments. The disk that is written is private to this machine. `hasTwoOutputs`: one
   * of its cards has a second output. Nothing is kept of such a PC: at times QEMU cannot go on with it (10.0: "Missing section footer", or it crashes).
   */
  static boot(image: Image, kernelArguments: readonly string[] = [], hasTwoOutputs = false): Promise<Machine> {
    return Machine.start(image, { kernelArguments, hasTwoOutputs });
  }

  /** Goes on `from` a state. The disk that is written is private to this machine. */
  static from(image: Image, from: State): Promise<Machine> {
    return Machine.start(image, { kernelArguments: [], from });
  }

  private static async start(image: Image, { kernelArguments, from, hasTwoOutputs = false }: Start): Promise<Machine> {
    const how = await accel(image);
    const dir = await mkdtemp(join(tmpdir(), 'hotseat-lab-'));
    try {
      const disk = join(dir, 'disk.qcow2');
      const backing = from ? ['-F', 'qcow2', '-b', from.disk] : ['-F', 'raw', '-b', image.disk];
      await execa('qemu-img', ['create', '-q', '-f', 'qcow2', ...backing, disk]);
      const command = (kernel: Kernel = { arguments: kernelArguments }) =>
        options(image, how, dir, disk, kernel, hasTwoOutputs);
      const first = command();
      const power = await switchOn(dir, from === undefined ? first : [...first, '-incoming', 'defer']);
      const machine = new Machine(dir, how, command, power);
      await machine.orGone(from ? machine.continue(from) : machine.boot('booting'));
      return machine;
    } catch (error) {
      await rm(dir, { recursive: true, force: true });
      throw error;
    }
  }

  /**
   * The result of `work`; when QEMU ends first, or it fails, QEMU is off and the guest's last words are in the error.
   */
  private async orGone<T>(work: Promise<T>): Promise<T> {
    const gone = this.power.ended.then((why) => {
      throw new Error(`QEMU ended: ${String(why)}`);
    });
    gone.catch(() => undefined);
    try {
      return await Promise.race([work, gone]);
    } catch (error) {
      await this.switchOff();
      throw new Error(`${String(error)}\nlast words of the guest:\n${await this.serial()}`);
    }
  }

  private async switchOff(): Promise<void> {
    const { qmp, channel, ended, kill } = this.power;
    await sayCosts(this.power.pid);
    channel.close();
    qmp.close();
    kill();
    await ended;
  }

  /** The last words of the guest's kernel on its serial console: an oops, a panic, a hung task. */
  async serial(): Promise<string> {
    const text = await readFile(join(this.dir, 'serial.log'), 'utf8').catch(() => '');
    return text.slice(-2000);
  }

  /** Shuts the guest's system down and boots it, as `reboot` does; plugged devices stay. */
  async reboot(): Promise<void> {
    await step('shutting down', async () => {
      const reset = this.qmp.event('RESET', () => true, 240_000);
      this.channel.start(['systemctl', 'reboot']);
      await this.orGone(reset);
    });
    await this.orGone(this.boot('booting again'));
  }

  /**
   * Cuts the power and gives it back: memory is gone, and data that was written and not flushed may be; the disk has
   * the data of the guest's fsync. Plugged devices stay. `kernel`: the words at the boot loader then.
   */
  async powerCut(kernel?: Kernel): Promise<void> {
    await this.switchOff();
    this.power = await switchOn(this.dir, this.command(kernel));
    const devices = [...this.plugged.values()];
    this.plugged.clear();
    this.mouse.clear();
    for (const device of devices) await this.plug(device);
    await this.orGone(this.boot('booting after a power cut'));
  }

  private async boot(what: string): Promise<void> {
    await step(`${what} (${this.accel})`, async () => {
      await this.channel.hello(300_000);
      const state = await this.channel.exec(['systemctl', 'is-system-running', '--wait'], {
        timeoutMs: 180_000,
        allowFailure: true,
      });
      if (!/running|degraded/.test(state.stdout)) throw new Error(`the guest is ${state.stdout.trim()}`);
      // On a busy machine the udevd of the initramfs was seen to live on. It has few rules, and tells of each device once more,
      // without anything that Xorg needs.
      await this.channel.exec(['pkill', '--full', '^/[^ ]*systemd-udevd --daemon'], { allowFailure: true });
      // Drivers of devices at the boot are loaded meanwhile: nobody waits for them.
      await this.channel.exec(['udevadm', 'settle', '--timeout=60']);
    });
  }

  private async continue(from: State): Promise<void> {
    await step('continuing from a saved state', async () => {
      for (const device of from.plugged) await this.plug(device);
      await this.qmp.run('migrate-set-capabilities', { capabilities });
      const arrived = this.qmp.event(
        'MIGRATION',
        (data) => data.status === 'completed' || data.status === 'failed',
        120_000,
      );
      await this.qmp.run('migrate-incoming', { uri: `file:${from.memory}` });
      await arrived;
      await this.qmp.run('cont');
      await this.channel.hello(60_000);
    });
  }

  /** The sound for the card that was plugged with the recorder of this place: a WAV file whose header names no length. */
  recording(place: Place): Promise<Buffer> {
    return readFile(join(this.dir, `${recorded[place]}.wav`));
  }

  async plug(device: DeviceArgs): Promise<void> {
    const before = new Set(await this.mice());
    await this.qmp.run('device_add', device);
    this.plugged.set(device.id, device);
    const index = (await this.mice()).find((mouse) => !before.has(mouse));
    if (device.driver === 'usb-mouse' && index !== undefined) this.mouse.set(device.id, index);
  }

  /** usb-mouse cannot be bound to a screen: the next movement goes to the mouse that was chosen last. */
  async chooseMouse(place: Place): Promise<void> {
    const mine = [...this.plugged.values()].filter((device) => String(device.port).startsWith(`${hub[place].port}.`));
    if (mine.some((device) => device.display === gpu[place].id && device.driver !== 'usb-kbd')) return;
    const index = mine.map((device) => this.mouse.get(device.id)).find((found) => found !== undefined);
    if (index === undefined) throw new Error(`no mouse is plugged in at ${place}`);
    await this.qmp.human(`mouse_set ${index}`);
  }

  private async mice(): Promise<number[]> {
    return ((await this.qmp.run('query-mice')) as { index: number }[]).map((mouse) => mouse.index);
  }

  async unplug(id: string): Promise<void> {
    const deleted = this.qmp.event('DEVICE_DELETED', (data) => data.device === id, 20_000);
    deleted.catch(() => undefined);
    await this.qmp.run('device_del', { id });
    await deleted;
    this.plugged.delete(id);
    this.mouse.delete(id);
  }

  /** savevm into this machine's own disk. */
  async savePoint(name: string): Promise<void> {
    await this.channel.exec(['sync']);
    await this.qmp.human(`savevm ${name}`);
    this.points.set(name, [...this.plugged.values()]);
  }

  /** loadvm: QEMU must have the same devices, so they are plugged as they were, with the machine stopped. */
  async restore(name: string): Promise<void> {
    const then = this.points.get(name);
    if (!then) throw new Error(`no save point ${name}`);
    await this.qmp.run('stop');
    const same = (a: DeviceArgs, b: DeviceArgs | undefined) => JSON.stringify(a) === JSON.stringify(b);
    for (const [id, device] of [...this.plugged]) {
      const before = then.find((other) => other.id === id);
      if (!before || !same(device, before)) await this.unplug(id);
    }
    for (const device of then) if (!this.plugged.has(device.id)) await this.plug(device);
    await this.qmp.human(`loadvm ${name}`);
    await this.qmp.run('cont');
    await this.channel.hello(60_000);
  }

  /** Ends this machine and leaves its state in `dir` for later starts. */
  async keep(dir: string): Promise<State> {
    await this.channel.exec(['sync']);
    await this.qmp.run('stop');
    await this.qmp.run('migrate-set-capabilities', { capabilities });
    await this.qmp.run('migrate-set-parameters', { 'max-bandwidth': 2 ** 40 });
    const work = `${dir}.${process.pid}.tmp`;
    await rm(work, { recursive: true, force: true });
    await mkdir(work, { recursive: true });
    const gone = this.qmp.event(
      'MIGRATION',
      (data) => data.status === 'completed' || data.status === 'failed',
      300_000,
    );
    gone.catch(() => undefined);
    await this.qmp.run('migrate', { uri: `file:${join(work, 'memory')}` });
    await gone;
    const status = (await this.qmp.run('query-migrate')) as { status: string; 'error-desc'?: string };
    if (status.status !== 'completed') throw new Error(`saving the machine: ${status['error-desc'] ?? status.status}`);
    const plugged = [...this.plugged.values()];
    await sayCosts(this.power.pid);
    await this.qmp.run('quit').catch(() => undefined);
    await this.power.ended;
    await rename(join(this.dir, 'disk.qcow2'), join(work, 'disk.qcow2')).catch(() =>
      execa('cp', ['--sparse=always', join(this.dir, 'disk.qcow2'), join(work, 'disk.qcow2')]),
    );
    await writeFile(join(work, 'state.json'), JSON.stringify(plugged));
    await rename(work, dir).catch(async (error: unknown) => {
      await rm(work, { recursive: true, force: true });
      if (!(await exists(dir))) throw error; // otherwise somebody else was quicker
    });
    await this.stop();
    return loadState(dir);
  }

  async stop(): Promise<void> {
    await this.switchOff();
    await rm(this.dir, { recursive: true, force: true });
  }
}

/** Starts QEMU with its sockets in `dir`. */
async function switchOn(dir: string, command: readonly string[]): Promise<Power> {
  // Through setpriv, so that QEMU dies with us however we die.
  const qemu = execa('setpriv', ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...command], {
    reject: false,
    stdin: 'ignore',
    stdout: 'ignore',
    cleanup: true,
    // Huge pages for the emulator's own tables, which it looks into at every second jump (mallopt(3)): 5 % less of everything.
    env: { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' },
  });
  const kill = () => {
    qemu.kill('SIGKILL');
  };
  process.on('exit', kill);
  const ended = qemu.then((result) => {
    process.off('exit', kill);
    return result.stderr || result.shortMessage;
  });
  const gone = ended.then((why) => {
    throw new Error(`QEMU ended: ${why}`);
  });
  gone.catch(() => undefined);
  try {
    const qmp = await Promise.race([retry(() => Qmp.connect(join(dir, 'qmp'))), gone]);
    const channel = await Promise.race([retry(() => Channel.connect(join(dir, 'channel'))), gone]);
    return { pid: qemu.pid, qmp, channel, ended, kill };
  } catch (error) {
    kill();
    await ended;
    throw error;
  }
}

export async function loadState(dir: string): Promise<State> {
  const plugged = JSON.parse(await readFile(join(dir, 'state.json'), 'utf8')) as DeviceArgs[];
  return { disk: join(dir, 'disk.qcow2'), memory: join(dir, 'memory'), plugged };
}

/** Without features that cost the emulator time at each change of process or page fault, and that no test needs. */
const emulatedCpu = 'max,-la57,-smap,-mpx,-pku';

function options(
  image: Image,
  how: Accel,
  dir: string,
  disk: string,
  kernel: Kernel,
  hasTwoOutputs: boolean,
): string[] {
  const head = `xres=${screen.width},yres=${screen.height}`;
  const slot = (pci: string) => `addr=${pci.slice(8)}`;
  return [
    // No PS/2: keys that no USB keyboard of a head takes must not fall through to a keyboard of the host.
    ...['-machine', 'pc,i8042=off', '-accel', how === 'kvm' ? 'kvm' : 'tcg,thread=multi,tb-size=512'],
    ...[
      '-cpu',
      how === 'kvm' ? 'max' : emulatedCpu,
      '-smp',
      String(cpus),
      '-m',
      '3G',
      '-nodefaults',
      '-display',
      'none',
      '-vga',
      'none',
      '-no-user-config',
      '-name',
      'hotseat-lab,debug-threads=on',
    ],
    ...['-kernel', image.kernel, '-initrd', kernel.initrd ?? image.initrd],
    ...['-append', [recipe.cmdline, ...(kernel.arguments ?? [])].join(' ')],
    ...['-chardev', `file,id=serial,path=${dir}/serial.log,append=on`, '-serial', 'chardev:serial'],
    ...['-qmp', `unix:${dir}/qmp,server=on,wait=off`],
    ...places.flatMap((place) => {
      const outputs = hasTwoOutputs && place === twoOutputs ? ',max_outputs=2' : '';
      return ['-device', `virtio-gpu-pci,id=${gpu[place].id},${slot(gpu[place].pci)},${head}${outputs}`];
    }),
    ...places.flatMap((place) => ['-vnc', `unix:${dir}/vnc-${place},display=${gpu[place].id}`]),
    ...(hasTwoOutputs ? ['-vnc', `unix:${dir}/vnc-${twoOutputs}-1,display=${gpu[twoOutputs].id},head=1`] : []),
    ...['-device', 'qemu-xhci,id=xhci,addr=05.0,p2=8,p3=8'],
    ...places.flatMap((place) => ['-device', `usb-hub,id=${hub[place].id},bus=xhci.0,port=${hub[place].port}`]),
    ...['-device', 'virtio-serial-pci,id=serial-bus,addr=06.0'],
    ...['-chardev', `socket,id=channel,path=${dir}/channel,server=on,wait=off`],
    ...['-device', 'virtserialport,bus=serial-bus.0,nr=1,chardev=channel,name=org.hotseat.lab'],
    ...['-drive', `file=${disk},if=none,id=disk,format=qcow2,cache=writeback,discard=unmap`],
    ...['-device', 'virtio-blk-pci,drive=disk,addr=07.0'],
    ...['-device', 'virtio-rng-pci,addr=08.0', '-audiodev', 'none,id=silence'],
    ...places.flatMap((place) => [
      '-audiodev',
      `wav,id=${recorded[place]},path=${dir}/${recorded[place]}.wav,out.frequency=${recordedRate}`,
    ]),
  ];
}

async function retry<T>(attempt: () => Promise<T>): Promise<T> {
  for (let left = 200; ; left--) {
    try {
      return await attempt();
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
