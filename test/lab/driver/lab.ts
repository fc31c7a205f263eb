// The driver that tests and people share.

import { readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { accel } from './accel.js';
import type { ExecOptions, ExecResult } from './channel.js';
import { deploy } from './deploy.js';
import { type Image, image } from './image.js';
import { keystrokes } from './keymap.js';
import { untilGone, untilSo } from './looking.js';
import { cpus, type DeviceArgs, gpu, hub, type Kernel, loadState, Machine, type Place, screen } from './machine.js';
import { madeOnce } from './made-once.js';
import { step } from './progress.js';
import { setMonitor } from './vnc.js';
import { waitingFor, witness } from './waiting.js';

export type { ExecOptions, ExecResult } from './channel.js';
export { type Place, places } from './machine.js';
export type Seat = 'left' | 'right';
export const seats: readonly Seat[] = ['left', 'right'];

export interface Plug {
  /** Whose hub; the display that feeds it follows. */
  readonly seat: Place;
  /** usb-kbd, usb-mouse, usb-tablet, usb-wacom-tablet, usb-audio, … */
  readonly driver: string;
  readonly id: string;
  /** A port of that hub, 1 to 8; the first free one if not given. */
  readonly port?: number;
  readonly serial?: string;
  /** Whose screen feeds this keyboard or tablet, when it is not the one of its hub. */
  readonly display?: Place;
  readonly options?: Record<string, string | number | boolean>;
}

const WITH_DISPLAY = new Set(['usb-kbd', 'usb-tablet']);
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export interface Prepared {
  /** The inputs of the preparation; the result is kept for later starts with the same key. */
  readonly key: string;
  /** The preparation that it begins with, if not with a PC that has just booted. */
  readonly on?: Prepared;
  prepare(lab: Lab): Promise<void>;
}

/** A booted machine: from the image, from the kept booted state, or from a kept preparation on top of it. */
export async function startLab(prepared?: Prepared): Promise<Lab> {
  const built = await image();
  return new Lab(await Machine.from(built, await loadState(await kept(built, prepared))));
}

/**
 * Where the state of this preparation is. The first test that needs it makes it; others that come meanwhile wait for
 * that.
 */
async function kept(built: Image, prepared: Prepared | undefined): Promise<string> {
  const name = prepared === undefined ? 'booted' : `prepared-${prepared.key}`;
  const dir = join(built.dir, `${name}-${await accel(built)}-${cpus}`);
  await madeOnce(dir, () => (prepared === undefined ? makeBooted(built, dir) : makePrepared(built, dir, prepared)));
  await used(dir);
  return dir;
}

/** From now on it is young: a PC that runs on it reads it again when it boots. */
const used = (dir: string): Promise<void> => utimes(dir, new Date(), new Date());

async function makeBooted(built: Image, dir: string): Promise<void> {
  const machine = await Machine.boot(built);
  await step('keeping the booted state', () => machine.keep(dir));
}

async function makePrepared(built: Image, dir: string, prepared: Prepared): Promise<void> {
  const below = await kept(built, prepared.on);
  const lab = new Lab(await Machine.from(built, await loadState(below)));
  try {
    await prepared.prepare(lab);
    await step('keeping the prepared state', () => lab.machine.keep(dir));
    // Now it is younger than the states that lie on it, and goes later.
    await used(below);
  } finally {
    await lab.stop();
    await forgetPreparations(built.dir);
  }
}

/** A machine that boots with further kernel arguments. It is another one than the ordinary: nothing of it is kept. */
export const bootLab = async (kernelArguments: readonly string[]): Promise<Lab> =>
  new Lab(await Machine.boot(await image(), kernelArguments));

/** A machine of which the card at right has a second output. Nothing of it is kept. */
export const bootWithTwoOutputs = async (): Promise<Lab> => new Lab(await Machine.boot(await image(), [], true));

/** No file of tests takes longer, ms. */
const longestUse = 2 * 60 * 60 * 1000;

/** Preparations are some 500 MB each: the newest four stay, and those that a run may still be using. */
async function forgetPreparations(cacheDir: string): Promise<void> {
  const names = (await readdir(cacheDir)).filter((name) => name.startsWith('prepared-'));
  const aged = await Promise.all(
    names.map(async (name) => ({ path: join(cacheDir, name), made: (await stat(join(cacheDir, name))).mtimeMs })),
  );
  const old = aged
    .sort((a, b) => b.made - a.made)
    .slice(4)
    .filter(({ made }) => made < Date.now() - longestUse);
  for (const { path } of old) await rm(path, { recursive: true, force: true });
}

export class Lab {
  private readonly forget: () => void;

  constructor(readonly machine: Machine) {
    this.forget = witness(() => this.lastWords());
  }

  /** Shuts the guest down and boots it again, as `reboot` does. */
  reboot(): Promise<void> {
    return this.machine.reboot();
  }

  /**
   * Cuts the PC's power and gives it back: memory goes, the disk stays as the guest's fsync left it. `kernel`: the
   * words at the boot loader then.
   */
  powerCut(kernel?: Kernel): Promise<void> {
    return this.machine.powerCut(kernel);
  }

  /** The answer of a unix socket in the guest to a line. All questions to one go over one connection. */
  ask(path: string, line: string, timeoutMs = 90_000): Promise<string> {
    return this.machine.channel.ask(path, line, timeoutMs);
  }

  /** Plugs a USB device in. Resolves when QEMU has it: the guest hears of it some 100 ms later. */
  async plug(what: Plug): Promise<DeviceArgs> {
    const taken = new Set([...this.machine.plugged.values()].map((device) => device.port));
    const { port: root } = hub[what.seat];
    const ports = what.port ? [what.port] : [1, 2, 3, 4, 5, 6, 7, 8];
    const port = ports.map((number) => `${root}.${number}`).find((path) => !taken.has(path));
    if (!port) throw new Error(`no free port for ${what.id} at the hub of ${what.seat}`);
    const device: DeviceArgs = { driver: what.driver, id: what.id, bus: 'xhci.0', port, ...what.options };
    if (what.driver === 'usb-audio') device.audiodev ??= 'silence';
    if (what.serial) device.serial = what.serial;
    if (WITH_DISPLAY.has(what.driver)) device.display = gpu[what.display ?? what.seat].id;
    await this.machine.plug(device);
    return device;
  }

  /**
   * Pulls USB devices out, all at once. Resolves when the guest's kernel has noticed: QEMU's hub is asked some times a
   * second only, and a device that is plugged into the same port before that is the former device to the kernel, which
   * fails for half a minute.
   */
  async unplug(...ids: readonly string[]): Promise<void> {
    const paths = ids.map((id) => `/sys/bus/usb/devices/*-${this.machine.plugged.get(id)?.port}`);
    await Promise.all(ids.map((id) => this.machine.unplug(id)));
    await this.guest(['bash', '-c', untilGone(paths)], { timeoutMs: 30_000 });
  }

  /** Types ASCII text on the first keyboard that belongs to this screen; a newline is Enter. */
  async type(head: Place, text: string, gapMs = 25): Promise<void> {
    for (const [qcode, shift] of keystrokes(text)) {
      if (shift) await this.event(head, key('shift', true), gapMs);
      await this.event(head, key(qcode, true), gapMs);
      await this.event(head, key(qcode, false), gapMs);
      if (shift) await this.event(head, key('shift', false), gapMs);
    }
  }

  /** Presses these keys together (QEMU's QKeyCode names) and lets go in the opposite order: key('left', 'ctrl', 'c'). */
  async key(head: Place, ...qcodes: string[]): Promise<void> {
    for (const qcode of qcodes) await this.event(head, key(qcode, true), 25);
    for (const qcode of qcodes.toReversed()) await this.event(head, key(qcode, false), 25);
  }

  async keyDown(head: Place, qcode: string): Promise<void> {
    await this.event(head, key(qcode, true), 0);
  }

  async keyUp(head: Place, qcode: string): Promise<void> {
    await this.event(head, key(qcode, false), 0);
  }

  /** Moves the mouse of this screen, in steps that one report can carry. */
  async move(head: Place, dx: number, dy: number): Promise<void> {
    await this.machine.chooseMouse(head);
    const count = Math.max(1, Math.ceil(Math.max(Math.abs(dx), Math.abs(dy)) / 100));
    for (let i = 0; i < count; i++) {
      const part = (total: number) => Math.round((total * (i + 1)) / count) - Math.round((total * i) / count);
      await this.events(head, [
        { type: 'rel', data: { axis: 'x', value: part(dx) } },
        { type: 'rel', data: { axis: 'y', value: part(dy) } },
      ]);
      await pause(25);
    }
  }

  /** Moves a tablet of this screen to a place in pixels. */
  async moveTo(head: Place, x: number, y: number): Promise<void> {
    await this.events(head, [
      { type: 'abs', data: { axis: 'x', value: Math.round((x * 32767) / screen.width) } },
      { type: 'abs', data: { axis: 'y', value: Math.round((y * 32767) / screen.height) } },
    ]);
    await pause(25);
  }

  async click(head: Place, button: 'left' | 'middle' | 'right' = 'left'): Promise<void> {
    await this.machine.chooseMouse(head);
    for (const down of [true, false]) await this.event(head, { type: 'btn', data: { button, down } }, 25);
  }

  /** Plugs a monitor of this size into this screen's card, or pulls it; `output`: at the card's first or second output. */
  monitor(head: Place, size: { width: number; height: number } | undefined, output: 0 | 1 = 0): Promise<void> {
    return setMonitor(join(this.machine.dir, `vnc-${head}${output === 0 ? '' : '-1'}`), size);
  }

  /** The picture that a person at this screen sees, as PNG; `output`: the first or second one of its card. */
  async shot(head: Place, file: string, output: 0 | 1 = 0): Promise<void> {
    const what = { filename: file, device: gpu[head].id, head: output, format: 'png' };
    await this.machine.qmp.run('screendump', what);
  }

  guest(argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    return this.machine.channel.exec(argv, options);
  }

  /** A shell script in the guest; its trimmed standard output. */
  async sh(script: string, options: ExecOptions = {}): Promise<string> {
    return (await this.guest(['bash', '-ec', script], options)).stdout.trim();
  }

  inContainer(name: string, argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { env = {}, ...rest } = options;
    const variables = Object.entries({ DISPLAY: ':0', HOME: '/root', ...env }).map(([k, v]) => `--set-var=${k}=${v}`);
    return this.guest(['lxc-attach', '-n', name, '--clear-env', ...variables, '--', ...argv], rest);
  }

  /** A process in the guest that runs on: `.write`, `.end`, `.kill`, `.onOutput`, `.done`. */
  start(argv: readonly string[], options: Pick<ExecOptions, 'timeoutMs' | 'env' | 'cwd'> = {}) {
    return this.machine.channel.start(argv, options);
  }

  putFile(path: string, content: string | Buffer, mode?: number): Promise<void> {
    return this.machine.channel.putFile(path, content, mode);
  }

  /** Everything that changes with the checkout: the agent, the containers' configuration and their units. */
  deploy(): Promise<void> {
    return step('deploying this checkout', () => deploy(this));
  }

  /** Starts the containers; resolves when the init of each has reached its target. */
  async startContainers(names: readonly string[] = seats): Promise<void> {
    await step(`starting containers ${names.join(', ')}`, async () => {
      for (const name of names) await this.guest(['systemctl', 'start', `lxc@${name}`]);
      for (const name of names) await this.containerUp(name);
    });
  }

  async stopContainers(names: readonly string[] = seats): Promise<void> {
    for (const name of names) await this.guest(['systemctl', 'stop', `lxc@${name}`], { timeoutMs: 150_000 });
  }

  async containerUp(name: string): Promise<void> {
    await this.guest(['lxc-wait', '-n', name, '-s', 'RUNNING', '-t', '60']);
    // It fails while its systemd does not answer yet, and then answers when everything has been started.
    const script = 'systemctl is-system-running --wait 2>/dev/null | grep -E "running|degraded"';
    await this.untilInside(name, `${name} to have started`, script, 120_000);
  }

  /** Starts Xorg and the terminal in these containers and waits until the terminal is there. */
  async startScreens(names: readonly string[] = seats): Promise<void> {
    await step(`starting screens ${names.join(', ')}`, async () => {
      for (const name of names) await this.inContainer(name, ['systemctl', 'start', '--no-block', 'xorg', 'term']);
      for (const name of names) {
        const script = 'xdotool search --onlyvisible --class xterm 2>/dev/null | grep .';
        await this.untilInside(name, `a terminal on the screen of ${name}`, script);
      }
    });
  }

  /** The lines that were typed at a seat and ended with Enter, from the upper layer of its container's file system. */
  async typed(name: string): Promise<string[]> {
    const { stdout } = await this.guest(['cat', `/var/lib/lxc/${name}/delta/root/typed`], { allowFailure: true });
    return stdout.split('\n').slice(0, -1);
  }

  /** Looks again and again whether something is so. Where the guest can look itself, `untilInside` costs less. */
  async until(what: string, check: () => Promise<boolean>, timeoutMs = 60_000): Promise<void> {
    const end = Date.now() + timeoutMs;
    const look = async (): Promise<void> => {
      for (;;) {
        const started = Date.now();
        if (await check()) return;
        if (Date.now() > end) throw new Error(await this.notYet(what, timeoutMs));
        // Looking takes the guest's time: the awaited thing gets as much.
        await pause(Math.max(100, Date.now() - started));
      }
    };
    await waitingFor(what, look());
  }

  /** Waits until a shell script succeeds as root of a container; its standard output. The guest does the looking. */
  async untilInside(name: string, what: string, script: string, timeoutMs = 60_000): Promise<string> {
    const inside = this.inContainer(name, ['bash', '-c', untilSo(script)], { timeoutMs });
    try {
      return (await waitingFor(what, inside)).stdout;
    } catch (error) {
      throw new Error(`${await this.notYet(what, timeoutMs)}\n${String(error)}`);
    }
  }

  private async notYet(what: string, timeoutMs: number): Promise<string> {
    return `after ${timeoutMs / 1000} s still not: ${what}\n${await this.lastWords()}`;
  }

  /** The last words of the agent and of the guest's kernel: they explain most timeouts. */
  private async lastWords(): Promise<string> {
    const script =
      "echo 'the agent said last:'; journalctl -u hotseat -n 12 -o cat --no-pager; " +
      "echo 'the kernel said last:'; journalctl -k -n 8 -o short-monotonic --no-pager";
    const said = this.guest(['sh', '-c', script], { allowFailure: true }).then(({ stdout }) => stdout);
    const silent = pause(25_000).then(() => Promise.reject(new Error('the guest does not answer')));
    return Promise.race([said, silent]).catch(
      async (error: Error) => `${error.message}\nthe kernel said last:\n${await this.machine.serial()}`,
    );
  }

  /** udevd has finished with everything that it knows of. */
  async settled(): Promise<void> {
    await this.guest(['udevadm', 'settle', '--timeout=30']);
  }

  savePoint(name: string): Promise<void> {
    return step(`save point ${name}`, () => this.machine.savePoint(name));
  }

  restore(name: string): Promise<void> {
    return step(`back to ${name}`, () => this.machine.restore(name));
  }

  stop(): Promise<void> {
    this.forget();
    return this.machine.stop();
  }

  private async event(head: Place, event: object, gapMs: number): Promise<void> {
    await this.events(head, [event]);
    if (gapMs > 0) await pause(gapMs);
  }

  private async events(head: Place, events: object[]): Promise<void> {
    await this.machine.qmp.run('input-send-event', { device: gpu[head].id, events });
  }
}

function key(qcode: string, down: boolean): object {
  return { type: 'key', data: { down, key: { type: 'qcode', data: qcode } } };
}
