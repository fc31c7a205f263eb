import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { namesIn } from '../../../agent/kernel/read.js';
import { makeRuntime, runtime, seatRoot } from '../../../agent/seat/layout.js';
import { Agent, type Parts } from './agent.js';
import type { Run } from './containers.js';
import { differences } from './expected.js';
import type { Meanwhile } from './life.js';
import { empty } from './pc.js';
import { keepOpen, readMessages } from './processes.js';
import { isHeard, isInside, type Step, type What } from './steps.js';
import { type Port, subsystemOf } from './wishes.js';
import { World } from './world.js';

/** A promise was broken. */
export class Broken extends Error {
  override name = 'Broken';
}

/** More turns of the event loop than this no rest takes. */
const mostTurns = 2000;

/** So often things are bound again because of trouble that goes on. */
const mostRounds = 20;

/**
 * Lives through a history, from an empty PC on, and through its fixed end: everything is told, looked at, and taken
 * away again. Throws `Broken` with the first promise that does not hold.
 */
export class History {
  private readonly world: World;
  private next = 0;
  /** Moments since the next step could have happened. */
  private moments = 0;
  /** Steps until another agent is started. */
  private downFor = 0;

  constructor(
    private readonly steps: readonly Step[],
    private readonly parts: Parts,
  ) {
    clear();
    this.world = new World(parts.takesRawBack);
  }

  async live(): Promise<void> {
    try {
      for (const name of this.world.wishes.seats) this.world.containers.start(name, name === 'right');
      this.start();
      await this.rest();
      for (let step = this.steps[this.next]; step !== undefined; step = this.steps[this.next]) {
        this.next += 1;
        this.moments = 0;
        if (this.world.agent === undefined && this.downFor-- <= 0) this.start();
        this.happen(step.what, true);
        await this.rest();
      }
      await this.settle();
      this.world.wishes = { ...this.world.wishes, seats: [] };
      this.world.agent?.adopt(this.world.wishes);
      await this.rest();
      await this.settle();
    } finally {
      await this.world.agent?.house.close();
    }
  }

  private start(): void {
    const { world } = this;
    // Messages of udevd before the agent listened are lost.
    world.pc.messages = [];
    world.agent = new Agent(world, this.parts, this.meanwhile);
    world.agent.keep();
    world.agent.see();
    world.agent.resync();
    world.agent.adopt(world.wishes);
  }

  /** Half a minute after all that, the world is as it must be. */
  private async settle(): Promise<void> {
    const { world } = this;
    if (world.agent === undefined) this.start();
    await this.rest();
    for (const run of world.containers.running) world.ready(run);
    if (world.isTroubled) await this.endureTrouble();
    world.replugLoose();
    // A graphics card stays where it is held, and so does what another seat keeps and the kernel cannot take back: they are let
    // go in the end, and not opened again.
    for (const run of world.containers.running) {
      run.isEager = false;
    }
    // Where the kernel does not list who has a card open, any descriptor in flight holds it up.
    for (const process of [...world.containers.populated, ...world.outsiders]) {
      if (!this.parts.listsClients) readMessages(process);
      keepOpen(process, (device) => !world.staysUntilLetGo(process, device));
    }
    world.smuggled = world.smuggled.filter(({ subsystem }) => subsystem !== 'drm');
    world.agent?.see();
    await this.hearAll();
    // Devices that were bound again on the way come back, and that is told as well.
    await this.hearAll();
    // Reported failures are tried again, in a while.
    if (this.steps.every(isHeard) && world.agent?.house.problems().length === 0) {
      world.broken.push(...differences(world).map((difference) => `before the look, ${difference}`));
    }
    world.agent?.look();
    await this.rest();
    // Devices that were bound again come back.
    await this.hearAll();
    world.broken.push(...differences(world));
    this.check();
  }

  /**
   * The trouble with taking things back lasts through a look: either everything is as it must be, or the agent has a problem. Then
   * the trouble ends.
   */
  private async endureTrouble(): Promise<void> {
    const { world } = this;
    world.agent?.see();
    await this.hearAll();
    world.agent?.look();
    await this.rest();
    for (let rounds = 0; world.pc.messages.length > 0 && world.agent !== undefined; rounds++) {
      if (rounds > mostRounds) throw new Broken('things are bound again for ever');
      await this.hearAll();
    }
    if (world.agent?.house.problems().length === 0)
      world.broken.push(...differences(world).map((difference) => `nobody says so, but ${difference}`));
    this.check();
    world.endTrouble();
    world.agent?.see();
    await this.rest();
  }

  private async hearAll(): Promise<void> {
    this.world.agent?.hear(Number.POSITIVE_INFINITY);
    await this.rest();
  }

  /** Until the agent has nothing more to do, or is dead and gone. */
  private async rest(): Promise<void> {
    const { world } = this;
    const { agent } = world;
    for (let turns = 0; agent !== undefined; turns++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (!agent.isBusy) break;
      if (turns > mostTurns) throw new Broken('the agent does not come to rest');
    }
    if (agent?.life.dead === true) {
      await agent.house.close();
      world.agent = undefined;
    }
    this.check();
  }

  private check(): void {
    const [first] = this.world.broken;
    if (first !== undefined) throw new Broken(first);
  }

  private readonly meanwhile: Meanwhile = (where) => {
    const step = this.steps[this.next];
    if (step === undefined || step.amid === 0 || (where === 'between effects' && isInside(step))) return;
    if (++this.moments < step.amid) return;
    this.moments = 0;
    this.next += 1;
    this.happen(step.what, where === 'while it waits');
  };

  /** `listening`: the agent can hear of it at once. */
  private happen(what: What, listening: boolean): void {
    const { world } = this;
    const { pc, containers, agent } = world;
    switch (what.do) {
      case 'plug':
        pc.plug(what.port, what.kind);
        if (what.told && listening) agent?.hear(Number.POSITIVE_INFINITY);
        return;
      case 'unplug':
        pc.unplug(what.port);
        if (what.told && listening) agent?.hear(Number.POSITIVE_INFINITY);
        return;
      case 'start':
        this.begin(containers.start(what.name, what.eager), what.configured);
        if (what.told && listening) agent?.see();
        return;
      case 'ready': {
        const run = containers.named(what.name);
        if (run !== undefined) world.ready(run);
        if (what.told && listening) agent?.see();
        return;
      }
      case 'stop':
        containers.stop(what.name);
        if (what.told && listening) agent?.see();
        return;
      case 'rename':
        containers.rename(what.from, what.to);
        if (what.told && listening) agent?.see();
        return;
      case 'lose-init':
        containers.loseInit(what.name);
        if (what.told && listening) agent?.see();
        return;
      case 'end-lingering':
        containers.endLingering(what.name);
        return;
      case 'send': {
        const run = containers.named(what.name);
        if (run === undefined) return;
        run.inFlight.push(...run.open);
        run.open = [];
        return;
      }
      case 'smuggle':
        world.smuggle();
        return;
      case 'hand': {
        const run = containers.named(what.name);
        const seat = world.wishes.seats.find((one) => run !== undefined && world.runOf(one) === run);
        if (run !== undefined) world.outsider(what.who)?.receive(run.open, seat);
        return;
      }
      case 'receive':
      case 'let-go': {
        const outsider = world.outsider(what.who);
        if (outsider === undefined) return;
        if (what.do === 'receive') readMessages(outsider);
        else keepOpen(outsider, () => false);
        return;
      }
      case 'veil':
        for (const process of world.processesOf(what.who)) process.veil = what.veil;
        return;
      case 'busy':
        for (const process of world.processesOf(what.who)) process.isBusy = what.isBusy;
        return;
      case 'stall':
        world.stalls.push(...what.stalls);
        return;
      case 'blur':
      case 'clear': {
        const run = containers.named(what.name);
        const [from, to] = what.do === 'blur' ? (['running', 'unclear'] as const) : (['unclear', 'running'] as const);
        if (run?.state === from) {
          run.state = to;
          run.hasHidden = true;
        }
        if (what.told && listening) agent?.see();
        return;
      }
      case 'trespass':
        world.trespass();
        return;
      case 'open': {
        const run = containers.named(what.name);
        if (run !== undefined) world.open(run);
        return;
      }
      case 'close': {
        const run = containers.named(what.name);
        if (run !== undefined) keepOpen(run, () => false);
        return;
      }
      case 'lose':
        pc.messages.splice(0, what.count);
        return;
      case 'crash':
        if (agent !== undefined) agent.life.dead = true;
        this.downFor = what.downFor;
        return;
      case 'hear':
        agent?.hear(what.count);
        return;
      case 'overrun':
        pc.messages = [];
        agent?.resync();
        return;
      case 'see':
        agent?.see();
        return;
      case 'look':
        agent?.look();
        return;
      case 'want':
        this.want({ ports: { ...world.wishes.ports, [what.port]: what.wish } });
        return;
      case 'attach': {
        const plugged = pc.plugged.get(what.port);
        // A thing without any other part is given by its raw node's rule alone.
        if (plugged === undefined || plugged.kind === 'key') return;
        const loan = { port: what.port, subsystem: subsystemOf(plugged.kind), seat: what.seat };
        this.want({ loans: [loan, ...this.otherLoans(what.port)] });
        return;
      }
      case 'detach':
        this.want({ loans: this.otherLoans(what.port) });
        return;
      case 'assign':
        this.want({ containers: { left: what.left, right: what.right } });
        return;
    }
  }

  /** A seat's container can have a configuration that mounts the seat's directories before anything in it runs. */
  private begin(run: Run | undefined, isConfigured: boolean): void {
    const { containers } = this.world.wishes;
    const seat = this.world.wishes.seats.find((one) => containers[one] === run?.name);
    if (isConfigured && seat !== undefined) run?.configure(seat);
  }

  private want(news: Partial<World['wishes']>): void {
    const { world } = this;
    world.wishes = { ...world.wishes, ...news };
    world.agent?.adopt(world.wishes);
  }

  private otherLoans(port: Port): World['wishes']['loans'] {
    return this.world.wishes.loans.filter((loan) => loan.port !== port);
  }
}

/** Makes the PC as it is before any agent has run on it. Seats' directories stay mounted, and are empty. */
function clear(): void {
  for (const seat of namesIn(seatRoot(''))) {
    for (const path of ['dev/input', 'dev/snd', 'dev/dri', 'dev/hidraw', 'udev/data', 'udev/tags'])
      empty(join(seatRoot(seat), path));
  }
  for (const name of namesIn(runtime)) if (name !== 'seats') rmSync(join(runtime, name), { recursive: true });
  makeRuntime();
}
