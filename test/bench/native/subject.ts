// A measured agent: a process in namespaces of its own, that does what the bench asks for and answers with times.
//
// Its sysfs, its udev database and its network are its own: nothing of the machine gets in, nothing gets out.

import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setImmediate as tick } from 'node:timers/promises';
import { cgroupRoot } from '../../../agent/kernel/cgroup.js';
import { syscall } from '../../../agent/kernel/libc.js';
import type { Size } from '../result.js';
import { Agent, decideAll, type Wish } from './agent.js';
import { Containers } from './containers.js';
import { type Keyboard, Keyboards, pathOf, places } from './keyboards.js';
import { Profile } from './profile.js';
import { type Answers, protocol, type Reply, type Request } from './protocol.js';

/** Nothing that is measured takes so long, ms: it is said then, instead of waited for. */
const longest = 60_000;

const ms = (from: bigint, to: bigint): number => Number(to - from) / 1e6;
const now = (): bigint => process.hrtime.bigint();

class Subject {
  private readonly root = join(cgroupRoot(), `hotseat-bench-${process.pid}`);
  private readonly scratch = mkdtempSync('/var/tmp/hotseat-bench-');
  private readonly containers = new Containers(this.root);
  private readonly keyboards: Keyboards;
  private readonly agent: Agent;
  private seats: readonly string[] = [];
  private rules = 0;
  private nextPort = 0;
  private profile: Profile | undefined;

  constructor() {
    for (const place of places) execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', place]);
    this.keyboards = new Keyboards();
    mkdirSync(this.root);
    this.agent = new Agent(this.root, join(this.scratch, 'trail'));
  }

  async start({ seats, rules, plugged }: Size, profile: string | undefined): Promise<Answers['start']> {
    this.seats = seatsOf(seats);
    this.rules = rules;
    for (; this.nextPort < plugged; this.nextPort++) this.keyboards.plug(this.nextPort);
    await this.agent.start(wishesOf(this.seats, rules), await this.containers.start(this.seats));
    if (profile !== undefined) this.profile = await Profile.begin(profile, `${seats}-seats-${plugged}-plugged`);
    return { protocol };
  }

  async unit(count: number): Promise<Answers['unit']> {
    const times = { plug: [], unplug: [], pluggedIdle: [], unpluggedIdle: [] } as Record<
      keyof Answers['unit'],
      number[]
    >;
    for (let done = 0; done < count; done++) {
      const keyboard = this.keyboards.plug(this.freePort(done));
      const added = this.keyboards.say('add', keyboard);
      await this.rested();
      const began = now();
      this.agent.tell(added);
      await this.agent.idle();
      times.pluggedIdle.push(ms(began, now()));
      times.plug.push(ms(began, this.lastAnnounced('add', keyboard)));
      this.assertHas(keyboard);
      const removed = this.keyboards.say('remove', keyboard);
      this.keyboards.unplug(keyboard);
      await this.rested();
      const pulled = now();
      this.agent.tell(removed);
      await this.agent.idle();
      times.unpluggedIdle.push(ms(pulled, now()));
      const gone = this.agent.gone.at(-1);
      if (gone === undefined) throw new Error(`${keyboard.event} did not leave`);
      times.unplug.push(ms(pulled, gone));
      this.assertHasNot(keyboard);
    }
    return times;
  }

  async heard(count: number): Promise<Answers['heard']> {
    await this.agent.listen();
    const socket = openSocket();
    const times = { plug: [] as number[], udev: [] as number[], agent: [] as number[] };
    try {
      for (let done = 0; done < count; done++) {
        const keyboard = this.keyboards.plug(this.freePort(done));
        const datagrams = Agent.datagrams(this.keyboards.say('add', keyboard));
        await this.rested();
        const began = now();
        for (const datagram of datagrams) Agent.send(socket, datagram);
        const { announced, heard } = this.agent;
        await this.until('the announcements', () => heard.length === 2 && announced.length === 2);
        const [, last] = heard;
        times.plug.push(ms(began, this.lastAnnounced('add', keyboard)));
        times.udev.push(ms(began, last?.inChild ?? began));
        times.agent.push(ms(began, last?.at ?? began));
        await this.agent.idle();
        this.assertHas(keyboard);
        await this.pull([keyboard]);
      }
    } finally {
      closeSync(socket);
    }
    return times;
  }

  async burst(count: number): Promise<Answers['burst']> {
    await this.agent.listen();
    const socket = openSocket();
    const all = Array.from({ length: count }, (_, index) => this.keyboards.plug(this.freePort(index)));
    const datagrams = all.flatMap((keyboard) => Agent.datagrams(this.keyboards.say('add', keyboard)));
    await this.rested();
    const began = now();
    for (const datagram of datagrams) Agent.send(socket, datagram);
    const sent = now();
    const { announced } = this.agent;
    await this.until('all announcements', () => announced.length >= datagrams.length);
    await this.agent.idle();
    for (const keyboard of all) this.assertHas(keyboard);
    const at = (index: number): number => ms(began, announced[index]?.at ?? began);
    const answer = { sent: ms(began, sent), half: at(count - 1), last: at(2 * count - 1) };
    await this.pull(all);
    closeSync(socket);
    return answer;
  }

  async same(count: number): Promise<Answers['same']> {
    const keyboard = this.keyboards.plug(this.freePort(0));
    this.agent.tell(this.keyboards.say('add', keyboard));
    await this.agent.idle();
    const all: number[] = [];
    const pure: number[] = [];
    for (let done = 0; done < count; done++) {
      const [, event] = this.keyboards.say('change', keyboard);
      if (event === undefined) throw new Error('a keyboard without an event node');
      await this.rested();
      const before = this.agent.pureNs;
      const began = now();
      this.agent.tell([event]);
      await this.agent.idle();
      all.push(ms(began, now()));
      pure.push((this.agent.pureNs - before) / 1e6);
      if (this.agent.announced.length > 0) throw new Error('what changes nothing was announced');
    }
    await this.pull([keyboard]);
    return { all, pure };
  }

  async look(count: number): Promise<Answers['look']> {
    const all: number[] = [];
    const piece: number[] = [];
    for (let done = 0; done < count; done++) {
      await this.rested();
      let last = now();
      let worst = 0n;
      let isOver = false;
      const beat = (): void => {
        const at = now();
        if (at - last > worst) worst = at - last;
        last = at;
        if (!isOver) setImmediate(beat);
      };
      setImmediate(beat);
      await tick();
      const began = now();
      await this.agent.look();
      all.push(ms(began, now()));
      isOver = true;
      beat();
      piece.push(Number(worst) / 1e6);
    }
    return { all, piece };
  }

  decide(count: number, { seats, rules, plugged }: Size): Answers['decide'] {
    for (; this.nextPort < plugged; this.nextPort++) this.keyboards.plug(this.nextPort);
    const wishes = wishesOf(seatsOf(seats), rules);
    return { all: decideAll(wishes, count) };
  }

  async close(): Promise<void> {
    await this.profile?.end();
    await this.agent.close();
    await this.containers.end();
    rmdirSync(this.root);
    rmSync(this.scratch, { recursive: true });
  }

  private seatOf({ port }: Keyboard): string {
    return this.seats[port % this.seats.length] ?? '';
  }

  /** A port that a rule names, and into which nothing is plugged. */
  private freePort(index: number): number {
    const free = this.rules - this.nextPort;
    if (free <= 0) throw new Error(`${this.rules} rules for ${this.nextPort} keyboards leave no port to measure at`);
    return this.nextPort + (index % free);
  }

  private async pull(all: readonly Keyboard[]): Promise<void> {
    const said = all.flatMap((keyboard) => this.keyboards.say('remove', keyboard));
    for (const keyboard of all) this.keyboards.unplug(keyboard);
    this.agent.tell(said);
    await this.agent.idle();
    for (const keyboard of all) this.assertHasNot(keyboard);
  }

  /** Nothing of what was done before is left to be done. */
  private async rested(): Promise<void> {
    await this.agent.idle();
    await tick();
    this.agent.announced.length = 0;
    this.agent.gone.length = 0;
    this.agent.heard.length = 0;
  }

  private lastAnnounced(action: string, { event }: Keyboard): bigint {
    const last = this.agent.announced.at(-1);
    const text = last?.datagram.toString('latin1') ?? '';
    const isIt = text.includes(`DEVPATH=${event.slice('/sys'.length)}\0`) && text.includes(`ACTION=${action}\0`);
    if (last === undefined || !isIt) throw new Error(`${event} was not announced`);
    return last.at;
  }

  /** The measured work was done: a version that leaves some of it out is not quicker. */
  private assertHas(keyboard: Keyboard): void {
    const seat = this.seatOf(keyboard);
    const node = statSync(Agent.nodeOf(seat, basename(keyboard.event)), { throwIfNoEntry: false });
    const isIt = node?.isCharacterDevice() === true && (node.rdev >> 8) % 4096 === 13;
    if (!isIt) throw new Error(`${keyboard.event} has no node in ${seat}`);
    for (const id of [`c13:${keyboard.minor}`, `+input:${basename(keyboard.head)}`]) {
      if (!existsSync(Agent.recordOf(seat, id))) throw new Error(`${id} is not in the database of ${seat}`);
    }
    if (!this.agent.isGranted(seat, 13, keyboard.minor)) throw new Error(`${keyboard.event} is not granted`);
  }

  private assertHasNot(keyboard: Keyboard): void {
    const seat = this.seatOf(keyboard);
    const isThere =
      existsSync(Agent.nodeOf(seat, basename(keyboard.event))) ||
      existsSync(Agent.recordOf(seat, `c13:${keyboard.minor}`)) ||
      this.agent.isGranted(seat, 13, keyboard.minor);
    if (isThere) throw new Error(`${keyboard.event} is left in ${seat}`);
  }

  private async until(what: string, isSo: () => boolean): Promise<void> {
    const end = Date.now() + longest;
    while (!isSo()) {
      if (Date.now() > end) throw new Error(`after ${longest / 1000} s still not: ${what}`);
      // Not setImmediate: that would keep a processor from the udev process.
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

const seatsOf = (count: number): string[] => Array.from({ length: count }, (_, index) => `place${index}`);

/** Rules are spread over seats port by port. */
const wishesOf = (seats: readonly string[], rules: number): Wish[] =>
  seats.map((seat, index) => ({
    seat,
    ports: Array.from({ length: Math.ceil((rules - index) / seats.length) }, (_, row) =>
      pathOf(index + row * seats.length),
    ),
  }));

/** A netlink socket for uevents (netlink(7)). */
const openSocket = (): number => syscall('socket', 'netlink', 16, 3 | 0o2000000 /* SOCK_RAW | SOCK_CLOEXEC */, 15);

const subject = new Subject();

async function answer(request: Request): Promise<unknown> {
  switch (request.ask) {
    case 'start':
      return subject.start(request.size, request.profile);
    case 'unit':
      return subject.unit(request.count);
    case 'heard':
      return subject.heard(request.count);
    case 'burst':
      return subject.burst(request.count);
    case 'same':
      return subject.same(request.count);
    case 'look':
      return subject.look(request.count);
    case 'decide':
      return subject.decide(request.count, request.size);
    default:
      throw new Error(`unknown question: ${JSON.stringify(request satisfies never)}`);
  }
}

/** To the bench's IPC channel. */
const say = (reply: Reply): void => void process.send?.(reply);

process.on('message', (request: Request) => {
  answer(request).then(
    (given) => say({ answer: given }),
    (error: Error) => say({ error: error.stack ?? error.message }),
  );
});
process.on('disconnect', () => {
  subject.close().then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
