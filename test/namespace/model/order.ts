import { existsSync, lstatSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type DeviceNumber, numberOf, numberText } from '../../../agent/core/device.js';
import { nodeKey } from '../../../agent/core/state.js';
import type { JournalEntry, NodeRef, RecordSpec } from '../../../agent/core/step.js';
import { seatRoot } from '../../../agent/seat/layout.js';
import type { Run } from './containers.js';
import type { Looks } from './files.js';
import { isSame } from './pc.js';
import { holds } from './processes.js';
import type { World } from './world.js';

/**
 * The order of promise 2, looked at in the world itself at each step of one seat. What comes: intent, grant, node, record,
 * word of it. What leaves: no grant, no node, no record, word of it, no descriptor, nothing in the journal.
 */
export class Order implements Looks {
  constructor(
    private readonly seat: string,
    private readonly world: World,
  ) {}

  granting({ id }: Run, number: DeviceNumber): void {
    this.must(this.entryOf(number) !== undefined, `${numberText(number)} is granted and not in the journal`);
    this.must(!this.world.map.has(id, number) || !this.world.map.opens(id, number), 'granted twice');
  }

  making(node: NodeRef): void {
    this.must(this.entryOf(node.number) !== undefined, `${node.name} is made and not in the journal`);
    const run = this.run();
    if (run !== undefined) this.must(this.world.map.has(run.id, node.number), `${node.name} is made without a grant`);
  }

  /** A raw node is mounted in a container. */
  showing({ id }: Run, name: string): void {
    const number = this.numberAt(`dev/hidraw/${name}`);
    this.must(number !== undefined, `${name} is shown without a node`);
    if (number !== undefined) this.must(this.world.map.has(id, number), `${name} is shown without a grant`);
  }

  removing(path: string): void {
    const number = this.numberAt(path);
    if (number !== undefined) this.mustBeDenied(number, `${path} is removed`);
    const run = this.run();
    if (!path.startsWith('dev/hidraw/') || run === undefined || run.hasHidden) return;
    this.must(!run.shown.has(basename(path)), `${path} is removed while it is shown`);
  }

  recording({ id }: RecordSpec): void {
    const entry = this.world.journalOf(this.seat)?.entries.get(id);
    this.must(entry !== undefined, `${id} is recorded and not in the journal`);
    if (entry?.node !== undefined) this.must(this.isThere(entry.node), `${id} is recorded without a node`);
  }

  unrecording(id: string): void {
    const node = this.world.journalOf(this.seat)?.entries.get(id)?.node;
    if (node !== undefined) this.mustBeGone(node, `the record ${id} is removed`);
  }

  announcing(action: string, devpath: string): void {
    const entry = this.entryAt(`/sys${devpath}`);
    this.must(entry !== undefined, `${devpath} is told of and not in the journal`);
    if (entry === undefined) return;
    const { id, node } = entry;
    if (action === 'remove') {
      if (node !== undefined) this.mustBeGone(node, `${devpath} is said to go`);
      this.must(!this.isRecorded(id), `${devpath} is said to go and has its record`);
      return;
    }
    this.must(this.isRecorded(id), `${devpath} is told of without a record`);
    if (node === undefined) return;
    this.must(this.isThere(node), `${devpath} is told of without a node`);
    const run = this.run();
    if (run !== undefined) this.must(this.world.map.has(run.id, node.number), `${devpath} is told of without a grant`);
  }

  revoking(nodes: readonly NodeRef[]): void {
    for (const node of nodes) {
      this.mustBeGone(node, `${node.name} is revoked`);
      const entry = this.entryOf(node.number);
      if (entry === undefined) continue;
      this.mustBeUntold(entry, `${node.name} is revoked`);
      const here = this.world.pc.at(node.number)?.device;
      const holder = this.world.containers.running.find((run) => here !== undefined && run.open.includes(here));
      this.must(
        here?.syspath === entry.syspath || holder === undefined,
        `${node.name} is revoked, and ${holder?.name} has another device open under that number`,
      );
    }
  }

  forgetting(entry: JournalEntry): void {
    const { id, node, syspath } = entry;
    this.must(!this.isRecorded(id), `${id} is forgotten and has its record`);
    this.mustBeUntold(entry, `${id} is forgotten`);
    if (node === undefined) return;
    this.mustBeGone(node, `${id} is forgotten`);
    const here = this.world.pc.device(syspath);
    const run = this.run();
    if (here === undefined || run === undefined || !isSame(here.number, node.number)) return;
    this.must(!holds(run, here), `${id} is forgotten and ${run.name} has it open`);
  }

  private mustBeDenied(number: DeviceNumber, when: string): void {
    const run = this.run();
    if (run !== undefined) this.must(!this.world.map.opens(run.id, number), `${when} while it is granted`);
  }

  private mustBeGone(node: NodeRef, when: string): void {
    this.mustBeDenied(node.number, when);
    this.must(!this.isThere(node), `${when} while its node is there`);
  }

  private mustBeUntold({ syspath, knownTo }: JournalEntry, when: string): void {
    const run = this.run();
    if (run?.hasHidden === true) return;
    const knows = run?.known.has(syspath.slice('/sys'.length)) === true;
    this.must(!knows || knownTo !== run?.key, `${when} while the listeners of ${run?.name} know it`);
  }

  private isThere(node: NodeRef): boolean {
    return isSame(this.numberAt(join('dev', nodeKey(node))), node.number);
  }

  private numberAt(path: string): DeviceNumber | undefined {
    const stat = lstatSync(join(seatRoot(this.seat), path), { bigint: true, throwIfNoEntry: false });
    return stat?.isCharacterDevice() === true ? numberOf(stat.rdev) : undefined;
  }

  private isRecorded(id: string): boolean {
    return existsSync(join(seatRoot(this.seat), 'udev/data', id));
  }

  private entryOf(number: DeviceNumber): JournalEntry | undefined {
    return this.world.journalOf(this.seat)?.entries.get(`c${numberText(number)}`);
  }

  private entryAt(syspath: string): JournalEntry | undefined {
    return [...(this.world.journalOf(this.seat)?.entries.values() ?? [])].find((entry) => entry.syspath === syspath);
  }

  /** The container that has the seat's devices. */
  private run(): Run | undefined {
    return this.world.runOf(this.seat);
  }

  private must(holds: boolean, otherwise: string): void {
    if (!holds) this.world.broken.push(`${this.seat}: ${otherwise}`);
  }
}
