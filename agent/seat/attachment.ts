import type { Logger } from 'pino';
import type { Accounts, Unknown } from '../core/access.js';
import type { JournalEntry } from '../core/step.js';
import type { Container } from '../engines/engine.js';
import { sharesNetwork } from '../engines/process.js';
import type { Namespaces } from '../kernel/namespaces.js';
import { inodeOf } from '../kernel/read.js';
import { accountsOf, noAccounts } from './accounts.js';
import { Announcer } from './announcer.js';
import { deafMonitors } from './deaf.js';
import type { Effects } from './effects.js';
import { graft, missingGrafts } from './graft.js';
import type { Grants } from './grants.js';
import { type Graft, udevTarget } from './layout.js';
import { runsUdevd, type UdevWay, willRunUdevd } from './own-udev.js';
import { ShownNodes } from './shown.js';

/** The parts of a seat that an attachment needs. */
interface Deps {
  readonly log: Logger;
  readonly grants: Grants;
  readonly namespaces: Namespaces;
  readonly effects: Effects;
}

/** How long a container that will run a udevd of its own is given to start it, ms. */
const patience = 60_000;

/**
 * Callbacks for the announcement state: listeners have read some devices by themselves, or there are new listeners.
 */
export interface Audience {
  /** The devices that a program that starts now finds in the seat's directories. */
  finds(): readonly JournalEntry[];
  /** They have read of these, and may have read of all others. */
  knows(found: readonly JournalEntry[]): void;
  knowsNothing(): void;
}

/** Our hold on one run of one container: its guard, its grafts, and the socket that speaks into it. */
export class Attachment {
  announcer: Announcer | undefined;
  /** The udev of the container, once that is known. */
  udev: UdevWay | undefined;
  /** Why nothing is announced, in words, when it cannot be. */
  mute: string | undefined;
  /** Processes inside that opened a udev monitor before there was a udev to listen to: deaf for good. */
  deaf: readonly string[] = [];
  /** Its users and groups, once it has a root of its own to read them from. */
  accounts: Accounts = noAccounts;
  /** Its nodes that lie in no grafted directory. */
  readonly shown: ShownNodes;
  /**
   * The id of its group: when it has ended, another container can have a group of the same path. Known before it is guarded, for
   * a former agent may have given it something. Undefined when it has ended already.
   */
  private readonly group: bigint | undefined;
  /** As its engine was last seen: a state that was seen once may have passed since. */
  private seen: Container | undefined;
  private grafted = false;
  /** The majors for which it was opened: the kernel chooses some when the first device comes, such as that of raw HID nodes. */
  private opened: readonly number[] | undefined;
  /** The grafts at the last look: another policy may want more. */
  private targets = '';
  private complained = '';
  /**
   * The devices at the last look before its init ran: a program that runs now can have read and opened them. Undefined
   * when it was not seen so early.
   */
  private found: readonly JournalEntry[] | undefined;
  private readonly since = performance.now();

  constructor(
    readonly container: Container,
    private readonly seat: string,
    private readonly seatPath: string,
    private readonly deps: Deps,
  ) {
    this.shown = new ShownNodes(container, deps.namespaces, seatPath);
    this.group = inodeOf(container.cgroup);
  }

  /** The next `ensure` looks at the mounts again. */
  invalidate(): void {
    this.grafted = false;
  }

  /** Takes away all that it was granted. `emptied`: it is as if it had never been a seat's. */
  drop(how: { readonly emptied: boolean }): void {
    if (this.group !== undefined) this.deps.grants.drop(this.container.cgroup, this.group, how);
  }

  /** Whether `ensure` would find nothing to do but by looking. */
  isSettled(now: Container, grafts: readonly Graft[]): boolean {
    const isOpen = this.opened === this.deps.grants.majors;
    return this.grafted && isOpen && isSameState(now, this.seen) && targetsOf(grafts) === this.targets;
  }

  /**
   * Guards the container, opens the door that its engine keeps shut, and grafts the seat's directories where they are
   * missing. The audience knows the devices that were there before anything ran, if its own configuration had grafted
   * them. An unclear container is guarded, and nothing else; this throws then, so that it is given nothing.
   */
  async ensure(now: Container, grafts: readonly Graft[], audience: Audience): Promise<void> {
    this.deps.grants.guard(now.cgroup);
    if (now.state === 'unclear') {
      throw new Error(
        `container ${now.name} is unclear, none of its processes is in its own user namespace any more: restart it`,
      );
    }
    if (now.openable) this.deps.grants.open(now.cgroup, now);
    this.opened = this.deps.grants.majors;
    const targets = targetsOf(grafts);
    if (targets !== this.targets) this.grafted = false;
    if (now.rooted && !this.grafted) this.accounts = await accountsOf(this.deps.namespaces, now);
    if (now.state === 'setup' && now !== this.seen) this.found = audience.finds();
    this.seen = now;
    if (now.state === 'setup' || this.grafted) return;
    this.udev = await this.findUdev(now, grafts);
    const wanted = this.udev === 'ours' ? grafts : grafts.filter(isDevices);
    const missing = await missingGrafts(this.deps.namespaces, now, this.seatPath, wanted);
    if (missing.length > 0) await this.repair(now, missing);
    await this.shown.look();
    if (sharesNetwork(now.pid)) {
      this.mute =
        "shares the host's network namespace, where an announcement would reach the host: give it a network of its own";
    } else if (this.udev !== 'coming') {
      await this.speak(now, this.udev === 'own' ? 'kernel' : 'udevd', missing.length === 0, audience);
    }
    this.deaf = deafMonitors(now.pid, now.cgroup);
    for (const process of this.deaf) {
      this.deps.log.warn({ seat: this.seat, container: now.name, process }, 'deaf, restart it');
    }
    this.grafted = this.udev !== 'coming';
    this.targets = targets;
  }

  /** Names that a policy gives nodes to and that do not exist in here: said once, root has them meanwhile. */
  complain(unknown: readonly Unknown[]): void {
    const names = [...new Set(unknown.map(({ what, name }) => `${what} ${name}`))].sort();
    if (names.join() === this.complained) return;
    this.complained = names.join();
    const { seat, container } = this;
    if (names.length > 0)
      this.deps.log.warn({ seat, container: container.name, names }, 'not in the container: root instead');
  }

  /** Nothing is announced any more. */
  close(): void {
    this.announcer?.close();
    this.announcer = undefined;
  }

  private async speak(now: Container, as: Announcer['as'], foundGrafted: boolean, audience: Audience): Promise<void> {
    if (this.announcer?.as === as) return;
    const former = this.announcer;
    const { namespaces, effects } = this.deps;
    this.announcer = new Announcer(await namespaces.openUeventSocket(now), now, as, effects);
    former?.close();
    if (former !== undefined) audience.knowsNothing();
    else if (as === 'udevd' && foundGrafted) audience.knows(this.found ?? []);
  }

  /** A udevd that runs is the container's own. A udevd that will run is waited for, unless our database is there already. */
  private async findUdev(now: Container, grafts: readonly Graft[]): Promise<UdevWay> {
    const { namespaces, log } = this.deps;
    const ours = grafts.filter((graft) => !isDevices(graft));
    const grafted = (await missingGrafts(namespaces, now, this.seatPath, ours)).length < ours.length;
    if (this.udev === 'own' || runsUdevd(now)) {
      if (grafted) await namespaces.unmount(now, [`/${udevTarget}`]);
      if (this.udev !== 'own') log.info({ seat: this.seat, container: now.name }, 'runs a udevd of its own');
      return 'own';
    }
    if (grafted || performance.now() > this.since + patience) return 'ours';
    return (await willRunUdevd(namespaces, now)) ? 'coming' : 'ours';
  }

  private async repair(container: Container, missing: readonly Graft[]): Promise<void> {
    const started = process.hrtime.bigint();
    const reports = await graft(this.deps.namespaces, container, this.seatPath, missing);
    const ms = Number((process.hrtime.bigint() - started) / 1000n) / 1000;
    for (const { target, covers } of reports) {
      const facts = { seat: this.seat, container: container.name, target, ms };
      if (covers.length === 0) this.deps.log.info(facts, 'grafted');
      else this.deps.log.warn({ ...facts, covers }, 'grafted over what stood there');
    }
  }
}

const isDevices = ({ target }: Graft): boolean => target !== udevTarget;

const targetsOf = (grafts: readonly Graft[]): string => grafts.map(({ target }) => target).join();

const isSameState = (a: Container, b: Container | undefined): boolean =>
  a.state === b?.state && a.cgroup === b.cgroup && a.rooted === b.rooted && a.openable === b.openable;
