// An engine at work in the lab: its two containers as seats, and the questions of tests.

import { basename } from 'node:path';
import * as assert from 'uvu/assert';
import type { Process } from './channel.js';
import { script, type Variant } from './engine-variants.js';
import { type Lab, type Seat, seats } from './lab.js';
import { gpu } from './machine.js';
import { policyDirectory, reload, seatStatus, status } from './service.js';

const ports: Record<Seat, string> = { left: 'pci-0000:00:05.0-usb-0:1', right: 'pci-0000:00:05.0-usb-0:2' };

export const classes = ['input', 'sound', 'graphics'] as const;
export type Class = (typeof classes)[number];

/** Of each class the node that stands for the whole device. */
const nodeOf: Readonly<Record<Class, RegExp>> = {
  input: /^\/dev\/input\/event\d+$/,
  sound: /^\/dev\/snd\/controlC\d+$/,
  graphics: /^\/dev\/dri\/card\d+$/,
};

/** One engine at work: its two containers, and the questions of tests. */
export class EngineSeats {
  private readonly pids = new Map<Seat, string>();

  constructor(
    private readonly lab: Lab,
    readonly variant: Variant,
  ) {}

  name(seat: Seat): string {
    return `${this.variant.title.replace(/\W+/g, '-')}-${seat}`;
  }

  /**
   * Makes this engine's containers the seats; `crossed`: each with the other's hub, and right with left's cards. `resources`:
   * what their files ask for.
   */
  async rule(crossed = false, resources: Partial<Readonly<Record<Seat, string>>> = {}): Promise<void> {
    const { engine, user } = this.variant;
    for (const seat of seats) {
      const place = crossed ? (seat === 'left' ? 'right' : 'left') : seat;
      const whose = user === undefined ? '' : `, user: ${user}`;
      const lines = [
        `seat: ${seat}`,
        `container: { engine: ${engine}, name: ${this.name(seat)}${whose} }`,
        ...(resources[seat] === undefined ? [] : [`resources: ${resources[seat]}`]),
        'devices:',
        `  - { label: a hub, match: { port: "${ports[place]}", subsystem: [input, sound] } }`,
      ];
      const cards = `["pci-${gpu.left.pci}", "pci-${gpu.right.pci}"]`;
      if (place === 'left') lines.push(`  - { label: cards, match: { subsystem: drm, ID_PATH: ${cards} } }`);
      await this.lab.putFile(`${policyDirectory}/${seat}.yaml`, `${lines.join('\n')}\n`);
    }
    await reload(this.lab);
  }

  async start(seat: Seat): Promise<void> {
    await script(this.lab, this.name(seat), this.variant.start);
    await this.lab.until(`${this.name(seat)} to run`, async () => (await this.seat(seat))?.state === 'running', 90_000);
    this.pids.set(seat, await script(this.lab, this.name(seat), this.variant.pid));
  }

  async stop(seat: Seat): Promise<void> {
    await script(this.lab, this.name(seat), this.variant.stop);
  }

  /** The pid of the init of a seat's container. */
  init = (seat: Seat): string => this.pids.get(seat) ?? '0';

  seat(seat: Seat) {
    return seatStatus(this.lab, seat);
  }

  /** Nodes of a class that the agent says a seat has: those that its container was told of, or all that are bound. */
  async nodes(seat: Seat, kind: Class, which: 'announced' | 'bound' = 'announced'): Promise<string[]> {
    const devices = (await this.seat(seat))?.devices ?? [];
    return devices.flatMap(({ node, announced }) =>
      (announced || which === 'bound') && node !== undefined && nodeOf[kind].test(node) ? [node] : [],
    );
  }

  async newNode(
    seat: Seat,
    kind: Class,
    known: readonly string[] = [],
    which: 'announced' | 'bound' = 'announced',
  ): Promise<string> {
    let found: string | undefined;
    await this.lab.until(`a new node of ${kind} at ${seat}`, async () => {
      found = (await this.nodes(seat, kind, which)).find((node) => !known.includes(node));
      return found !== undefined;
    });
    assert.ok(found !== undefined);
    return found;
  }

  argv(seat: Seat, ...argv: string[]): string[] {
    return ['/opt/engines/enter', this.init(seat), ...argv];
  }

  /** A shell command as root of the container: its output, or undefined when it failed. */
  async inside(seat: Seat, command: string): Promise<string | undefined> {
    const { code, stdout, stderr } = await this.lab.guest(this.argv(seat, 'sh', '-c', command), { allowFailure: true });
    if (code === 90) throw new Error(`cannot enter ${this.name(seat)}: ${stderr}`);
    return code === 0 ? stdout.trim() : undefined;
  }

  /** The device is there for all programs: it opens, and libudev knows its kind. */
  async has(seat: Seat, node: string): Promise<void> {
    assert.is.not(await this.inside(seat, `exec 3<${node}`), undefined, `${node} does not open in ${this.name(seat)}`);
    const known = await this.inside(seat, `udevadm info --query=property ${node}`);
    // Nothing but the database knows since when (sd-device takes the rest from sysfs).
    assert.match(known ?? 'unknown to libudev', /^USEC_INITIALIZED=\d+$/m);
  }

  /** Waits until the last thing that a monitor has heard of a node is this. */
  async heard(monitor: Process, action: 'add' | 'remove', node: string): Promise<void> {
    const end = `/${basename(node)} `;
    const last = () =>
      monitor.stdout.split('\n').findLast((line) => line.includes(end) && / (add|remove) /.test(line)) ?? '';
    await this.lab.until(`to be told: ${action} ${node}`, async () => last().includes(` ${action} `));
  }

  /** The number of a node on the host, `MAJOR:MINOR`. */
  numberOf(node: string): Promise<string> {
    return this.lab.sh(`printf '%d:%d' $(stat -c '0x%t 0x%T' ${node})`);
  }

  /** How much the agent has heard the engine say of itself; undefined while it hears none of it. */
  async words(): Promise<number | undefined> {
    const streams = (await status(this.lab)).engines.filter(({ engine }) => engine === this.variant.engine);
    const heard = streams.filter(({ reason }) => reason === undefined);
    return heard.length === 0 ? undefined : heard.reduce((sum, { words }) => sum + words, 0);
  }

  /** udevadm's monitor inside: libudev with all its checks. */
  async listen(seat: Seat): Promise<Process> {
    const monitor = this.lab.start(this.argv(seat, 'udevadm', 'monitor', '--udev'));
    await this.lab.until('udevadm to listen', async () => monitor.stdout.includes('UDEV - '), 30_000);
    return monitor;
  }

  /**
   * Whether a container's root gets at a device that is not its own: by a node that it makes, and by a node that the
   * host puts there. That the latter is a good one is seen by a process that is in all its namespaces but not in its
   * cgroup.
   */
  async stealing(seat: Seat, number: string): Promise<{ made: boolean; opened: boolean; control: boolean }> {
    const [major, minor] = number.split(':');
    const pid = this.pids.get(seat) ?? '0';
    const made = await this.inside(seat, `mknod /home/made c ${major} ${minor} && rm /home/made`);
    const stolen = `${this.variant.rootfs ?? `/proc/${pid}/root`}/home/stolen`;
    await script(this.lab, this.name(seat), `mknod -m 666 ${stolen} c ${major} ${minor}`);
    const opened = await this.inside(seat, 'exec 3</home/stolen');
    const outside = async (...namespaces: string[]): Promise<boolean> => {
      const open = ['nsenter', ...namespaces, '--target', pid, '--', 'sh', '-c', 'exec 3</home/stolen'];
      return (await this.lab.guest(open, { allowFailure: true })).code === 0;
    };
    const control = await outside('--mount');
    // As its user, in no container's group.
    if (this.variant.user !== undefined) assert.not.ok(await outside('--all'), 'from outside of its group');
    await script(this.lab, this.name(seat), `rm ${stolen}`);
    return { made: made !== undefined, opened: opened !== undefined, control };
  }
}
