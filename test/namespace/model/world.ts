import { basename } from 'node:path';
import { type DeviceNumber, numberText } from '../../../agent/core/device.js';
import type { NodeRef } from '../../../agent/core/step.js';
import type { Holder } from '../../../agent/kernel/holders.js';
import type { Journal } from '../../../agent/seat/journal.js';
import type { Revocation } from '../../../agent/seat/revoke.js';
import type { Agent } from './agent.js';
import { Containers, isRecorded, type Run } from './containers.js';
import { KernelMap } from './kernel-map.js';
import { isSame, Pc, type PcDevice } from './pc.js';
import { first, isShareable, ownersOf, type Seat, type Wishes } from './wishes.js';

/** Everything outside the agent: the PC, its kernel, its containers, and what its admin wants. */
export class World {
  readonly map = new KernelMap();
  readonly containers = new Containers();
  readonly pc = new Pc((number) => {
    this.map.withdraw(number);
    for (const run of this.containers.runs) run.open = run.open.filter((device) => !isSame(device.number, number));
  });
  wishes: Wishes = first;
  agent: Agent | undefined;
  /** Which promises were broken, in words. */
  readonly broken: string[] = [];

  journalOf(seat: string): Journal | undefined {
    return this.agent?.journals.get(seat);
  }

  /** The container that has, or may have, what a seat has. */
  runOf(seat: string): Run | undefined {
    const key = this.journalOf(seat)?.container;
    return this.containers.running.find((run) => run.key === key);
  }

  /** The programs of a container open whatever they may. */
  open(run: Run): void {
    for (const { devices } of this.pc.plugged.values()) {
      for (const device of devices) {
        if (device.number === undefined || !this.map.opens(run.id, device.number)) continue;
        if (!run.open.includes(device)) run.open.push(device);
      }
    }
  }

  /**
   * A container's programs start, and read which devices there are, where its configuration shows them that. What they cannot
   * open they drop: it has to be told of.
   */
  ready(run: Run): void {
    if (run.state === 'running') return;
    run.state = 'running';
    const seat = run.configuredFor;
    if (seat === undefined || this.wishes.containers[seat] !== run.name) return;
    for (const device of [...this.pc.plugged.values()].flatMap(({ devices }) => devices)) {
      const isOpened = device.number === undefined || this.map.opens(run.id, device.number);
      if (!isOpened || !isRecorded(seat, device)) continue;
      const devpath = device.syspath.slice('/sys'.length);
      run.known.set(devpath, device);
      run.read.add(devpath);
    }
    if (run.isEager) this.open(run);
  }

  /** A number is about to be granted to a seat's container: whose it is, nobody else has, but who shares it. */
  giving(seat: string, run: Run, number: DeviceNumber, wishes: Wishes | undefined): void {
    const found = this.pc.at(number);
    if (found === undefined || wishes === undefined) return;
    const owners: readonly string[] = ownersOf(wishes, found.plugged);
    const what = `${found.device.syspath} (${numberText(number)})`;
    if (!owners.includes(seat)) this.broken.push(`${seat} is given ${what}, which is not its own`);
    for (const other of this.containers.running) {
      if (other === run || !found.plugged.devices.some((device) => this.reaches(other, device))) continue;
      const sharer = owners.find((owner) => owner !== seat && this.runOf(owner) === other);
      if (sharer === undefined && !isShareable(wishes, found.plugged))
        this.broken.push(`${seat} is given ${what} while ${other.name} has it`);
    }
  }

  holders(numbers: readonly DeviceNumber[]): Holder[] {
    return this.containers.running.flatMap(({ pid, name, cgroup, open }) =>
      open.flatMap(({ number }, fd) =>
        number !== undefined && numbers.some((one) => isSame(one, number))
          ? [{ pid, fd, command: name, cgroup, number }]
          : [],
      ),
    );
  }

  /** What the kernel can take back: of event nodes alone. */
  revoke(seat: string, nodes: readonly NodeRef[], spared: readonly string[]): Revocation {
    const left: string[] = [];
    let revoked = 0;
    for (const { name, number } of nodes) {
      for (const run of this.containers.running) {
        const rest = run.open.filter((device) => !isSame(device.number, number));
        if (rest.length === run.open.length || spared.includes(run.cgroup)) continue;
        this.losing(seat, run, number);
        if (name.startsWith('event')) {
          run.open = rest;
          revoked += 1;
        } else left.push(`${run.name} holds ${name}`);
      }
    }
    return { revoked, left, suspected: [] };
  }

  /** What leaves a seat is taken back from whoever has it, but not from a seat whose it still is. */
  private losing(seat: string, run: Run, number: DeviceNumber): void {
    const found = this.pc.at(number);
    const verdict = this.agent?.house.judged.get(found?.plugged.unit ?? '');
    if (found === undefined || verdict?.kind !== 'seat') return;
    const other = verdict.claims.find((claim) => claim.seat !== seat && this.runOf(claim.seat) === run)?.seat;
    if (other !== undefined) this.broken.push(`${other} loses ${found.device.syspath}, which leaves ${seat} alone`);
  }

  /** Whether nothing but an end of its use takes a device from a container: another seat shares and keeps it. */
  staysUntilLetGo(run: Run, { syspath, number }: PcDevice): boolean {
    const plugged = number === undefined ? undefined : this.pc.at(number)?.plugged;
    if (plugged === undefined || basename(syspath).startsWith('event')) return false;
    const isElsewhere = (seat: Seat) =>
      this.runOf(seat) !== run && this.agent?.house.holders(plugged.unit).includes(seat);
    return ownersOf(this.wishes, plugged).some(isElsewhere);
  }

  /** A driver is unbound and bound again: what it drives comes back as another. */
  rebind(unit: string): string {
    const plugged = [...this.pc.plugged.values()].find((one) => one.unit === unit);
    if (plugged === undefined) throw new Error(`${unit} has gone`);
    this.pc.unplug(plugged.port);
    this.pc.plug(plugged.port, plugged.kind);
    return basename(unit);
  }

  /** Whether a container's programs can open a device, or have it open. */
  reaches(run: Run, device: PcDevice): boolean {
    return run.open.includes(device) || (device.number !== undefined && this.map.opens(run.id, device.number));
  }
}
