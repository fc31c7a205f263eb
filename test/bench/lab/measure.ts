// Measures one tree in the lab's PC. A program of its own, so that another commit's lab runs another commit's agent.
//
// measure.js JOB-AS-JSON FILE: writes rows as JSON to the file.

import { writeFileSync } from 'node:fs';
import { EngineSeats } from '../../lab/driver/engine-seats.js';
import { script, type Variant, variants } from '../../lab/driver/engine-variants.js';
import type { Lab } from '../../lab/driver/lab.js';
import { preparedEngines } from '../../lab/driver/prepared.js';
import { step } from '../../lab/driver/progress.js';
import { policyDirectory, reload } from '../../lab/driver/service.js';
import { Collector } from '../collect.js';
import type { Options } from '../options.js';
import type { Absence, Column, Row } from '../result.js';
import { median } from '../statistics.js';
import { agent, probe, putPrograms } from './guest.js';
import { type Peer, peerKeyboard, peerName, peerScript, peers, ruleFor, startPeer } from './peers.js';
import type { RowName } from './rows.js';
import { arrivals, burstOf, removals, type Way } from './timeline.js';

export interface Job {
  readonly column: Extract<Column, 'own' | 'base'>;
  readonly options: Options;
}

export interface Outcome {
  readonly rows: readonly Row[];
  readonly absent: readonly Absence[];
}

const uinputKeyboards = 'a uinput keyboard, LXC';
const usbKeyboards = 'a USB keyboard, Incus';
const afterUdevd = 'of it from udevd’s word on';

/** The name of QEMU's keyboard. */
const usbKeyboard = { vendor: '0627', product: '0001' };

class Bench {
  private readonly to = new Collector();
  private readonly absent: Absence[] = [];
  /** Its share, ms. */
  private readonly udevd: number[] = [];

  constructor(
    private readonly lab: Lab,
    private readonly job: Job,
  ) {}

  /** `keep`: called after each part with all that was measured until then. */
  async run(keep: (outcome: Outcome) => void): Promise<void> {
    await step('compiling and bringing the probes', () => putPrograms(this.lab));
    const part = async (what: string, act: () => Promise<void>): Promise<void> => {
      await step(what, act);
      keep({ rows: this.to.rows(), absent: this.absent });
    };
    if (this.wants('floor')) await part('floor', () => this.floor());
    if (this.wants('usable') || this.wants('gone') || this.wants('burst'))
      await part('the agent, with LXC', () => this.agentInLxc());
    if (this.wants('incus')) await part('the agent, with Incus', () => this.agentInIncus());
    // The others are measured beside this tree alone, and without an agent that would listen to the same devices.
    if (this.job.column === 'base') return;
    await agent(this.lab, 'stop');
    if (this.wants('peers')) for (const peer of peers) await part(peer.title, () => this.script(peer));
    if (this.wants('incus')) await part('Incus by itself', () => this.incus());
  }

  private wants(name: RowName): boolean {
    const { only } = this.job.options;
    return only.length === 0 || only.includes(name);
  }

  private add(
    name: RowName,
    what: string,
    times: readonly number[],
    column: Column,
    more: { isStart?: boolean; unit?: Row['unit'] } = {},
  ) {
    const { isStart = false, unit = 'ms' } = more;
    this.to.add({ name, what, column, unit }, times, { isStart });
  }

  private async floor(): Promise<void> {
    const lines = await this.lab.sh(`/opt/bench/floor ${this.job.options.events * 5}`);
    const times = lines.split('\n').map((line) => line.split(' ').map((ns) => Number(ns) / 1e6));
    this.add(
      'floor',
      'plug',
      times.map(([plug = 0]) => plug),
      'floor',
      { isStart: true },
    );
    this.add(
      'floor',
      'unplug',
      times.map(([, unplug = 0]) => unplug),
      'floor',
      { isStart: true },
    );
  }

  private async agentInLxc(): Promise<void> {
    const { lab, job } = this;
    const { options, column } = job;
    const engine = new EngineSeats(lab, variantOf('lxc'));
    const name = 'bench left';
    const pid = await this.seat(engine, name);
    for (let round = 0; round < options.rounds; round++) {
      await agent(lab, 'restart');
      await lab.until('the seat', async () => (await engine.seat('left'))?.state === 'running', 90_000);
      // Work that a start leaves behind is not the first keyboard's.
      await lab.sh('sleep 3');
      const ways = await probe(lab, { pid, mode: 'one', count: options.events, name });
      this.addArrivals('usable', uinputKeyboards, ways, column);
      const { all, rest } = removals(ways);
      this.add('gone', 'its removal, LXC', all, column, { isStart: true });
      this.add('gone', 'its removal, LXC: of it from udevd’s word on', rest, column, { isStart: true });
    }
    for (const count of this.wants('burst') ? options.bursts : []) {
      const { udevd, half, last } = burstOf(await probe(lab, { pid, mode: 'burst', count, name }));
      this.add('burst', `${count} at once, udevd’s last word`, [udevd], column);
      this.add('burst', `${count} at once, half of them opened`, [half], column);
      this.add('burst', `${count} at once, the last opened`, [last], column);
      this.add('burst', `${count} at once, the last after udevd’s last`, [(100 * (last - udevd)) / udevd], column, {
        unit: '%',
      });
    }
    await engine.stop('left');
  }

  /** The left seat in an engine's container, with the keyboards of this name; the pid of its init. */
  private async seat(engine: EngineSeats, keyboards: string): Promise<string> {
    const { lab } = this;
    await engine.rule();
    const file = `${policyDirectory}/left.yaml`;
    const rule = `  - { label: bench, match: { subsystem: input, NAME: '?${keyboards}?' } }\n`;
    await lab.putFile(file, `${await lab.sh(`cat ${file}`)}\n${rule}`);
    await reload(lab);
    await script(lab, engine.name('left'), engine.variant.prepare);
    await engine.start('left');
    return script(lab, engine.name('left'), engine.variant.pid);
  }

  private addArrivals(name: RowName, what: string, ways: readonly Way[], column: Column): void {
    const { all, udevd, rest } = arrivals(ways);
    const isStart = name === 'usable';
    this.add(name, what, all, column, { isStart });
    this.add(name, `${what}: of it udevd`, udevd, column, { isStart });
    this.add(name, `${what}: ${afterUdevd}`, rest, column, { isStart });
    if (name === 'usable') this.udevd.push(...udevd);
  }

  /** Scripts run before udevd says anything: its share is what it takes where no script runs. */
  private addPeer(name: RowName, what: string, all: readonly number[]): void {
    this.to.add({ name, what, column: 'peer', beside: uinputKeyboards }, all);
    if (this.udevd.length === 0) return;
    const udevd = median(this.udevd);
    const script = all.map((ms) => Math.max(0, ms - udevd));
    this.to.add(
      { name, what: `${what}: without udevd’s share`, column: 'peer', beside: `${uinputKeyboards}: ${afterUdevd}` },
      script,
    );
  }

  private async agentInIncus(): Promise<void> {
    const engine = new EngineSeats(this.lab, variantOf('incus'));
    const pid = await this.seat(engine, 'none');
    this.addArrivals('incus', usbKeyboards, await this.usbKeyboards(pid), this.job.column);
    await engine.stop('left');
  }

  /** As `arrivals` of what Incus puts into a container by itself. */
  private async incus(): Promise<void> {
    const { lab } = this;
    const name = 'peer-incus';
    const pid = await startPeer(lab, variantOf('incus'), name);
    const { vendor, product } = usbKeyboard;
    await lab.guest([
      ...['incus', 'config', 'device', 'add', name, 'keyboard', 'unix-hotplug'],
      ...[`vendorid=${vendor}`, `productid=${product}`, 'required=false'],
    ]);
    // It sends no message of udevd's: its program looks for the node.
    const ways = await this.attempt('incus', 'Incus unix-hotplug', () => this.usbKeyboards(pid, true));
    if (ways !== undefined) {
      // Incus hears udevd's word, as the agent does.
      const { all, rest } = arrivals(ways);
      this.to.add({ name: 'incus', what: 'Incus unix-hotplug', column: 'peer', beside: usbKeyboards }, all);
      this.to.add(
        {
          name: 'incus',
          what: `Incus unix-hotplug: ${afterUdevd}`,
          column: 'peer',
          beside: `${usbKeyboards}: ${afterUdevd}`,
        },
        rest,
      );
    }
    await script(lab, name, variantOf('incus').stop);
  }

  /** Plugged one at a time at the left hub. */
  private async usbKeyboards(pid: string, bare = false): Promise<Way[]> {
    const ways: Way[] = [];
    for (let round = 0; round < Math.min(this.job.options.events, 3); round++) {
      const plug = async () => void (await this.lab.plug({ seat: 'left', driver: 'usb-kbd', id: 'bench' }));
      ways.push(...(await probe(this.lab, { pid, mode: 'watch', count: 1, name: '-', bare, act: plug })));
      await this.lab.unplug('bench');
      await this.lab.settled();
    }
    return ways;
  }

  private async script(peer: Peer): Promise<void> {
    const { lab, job } = this;
    const name = peerName(peer);
    const pid = await startPeer(lab, peer, name);
    const count = Math.min(job.options.events, 5);
    for (const isWhole of [false, true]) {
      await ruleFor(lab, peerScript(peer, pid, isWhole));
      const what = `${peer.title}, ${isWhole ? 'with record and message' : 'bare'}`;
      const look = { pid, mode: 'one', count, name: peerKeyboard, bare: !isWhole } as const;
      const ways = await this.attempt('peers', what, () => probe(lab, look));
      if (ways !== undefined) this.addPeer('peers', what, arrivals(ways).all);
    }
    await ruleFor(lab, '');
    await script(lab, name, peer.stop);
  }

  /** A measurement that does not end is reported, and does not prevent the others. */
  private async attempt<T>(name: RowName, what: string, act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act();
    } catch (error) {
      this.absent.push({ name, what, reason: (error as Error).message.trim().replaceAll('\n', '; ') });
      return undefined;
    }
  }
}

function variantOf(title: string): Variant {
  const found = variants.find((one) => one.title === title);
  if (found === undefined) throw new Error(`no engine variant ${title}`);
  return found;
}

const [job = '', file = ''] = process.argv.slice(2);
const lab = await preparedEngines();
try {
  const keep = (outcome: Outcome): void => writeFileSync(file, JSON.stringify(outcome));
  await new Bench(lab, JSON.parse(job) as Job).run(keep);
} finally {
  await lab.stop();
}
