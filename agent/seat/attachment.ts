import type { Logger } from 'pino';
import type { Container } from '../engines/engine.js';
import type { Namespaces } from '../kernel/namespaces.js';
import { Announcer } from './announcer.js';
import { deafMonitors } from './deaf.js';
import { graft, missingGrafts } from './graft.js';
import type { Grants } from './grants.js';
import type { Graft } from './layout.js';

/** What an attachment needs of its seat. */
interface Deps {
  readonly log: Logger;
  readonly grants: Grants;
  readonly namespaces: Namespaces;
}

/** Our hold on one run of one container: its guard, its grafts, and the socket that speaks into it. */
export class Attachment {
  announcer: Announcer | undefined;
  /** Processes inside that opened a udev monitor before there was a udev to listen to: deaf for good. */
  deaf: readonly string[] = [];
  private grafted = false;
  /** Seen before its init ran: all grants were there before anything inside could want them. */
  private readonly early: boolean;

  constructor(
    readonly container: Container,
    private readonly seat: string,
    private readonly deps: Deps,
  ) {
    this.early = container.state === 'setup';
  }

  /** The next `ensure` looks at the mounts again. */
  invalidate(): void {
    this.grafted = false;
  }

  /**
   * Guards the container, opens the door that its engine keeps shut, and grafts the seat's directories where they are
   * missing. `foundGrafted` is called when its own configuration had done that and it was guarded before anything ran.
   */
  async ensure(now: Container, grafts: readonly Graft[], seatPath: string, foundGrafted: () => void): Promise<void> {
    this.deps.grants.guard(now.cgroup);
    if (now.state === 'setup' || this.grafted) return;
    const missing = missingGrafts(now.pid, seatPath, grafts);
    if (missing.length > 0) await this.repair(now, missing, seatPath);
    if (this.announcer === undefined) {
      const socket = await this.deps.namespaces.openUeventSocket(now.pid);
      this.announcer = new Announcer(socket, now);
      if (missing.length === 0 && this.early) foundGrafted();
    }
    this.deaf = deafMonitors(now.pid, now.cgroup);
    for (const process of this.deaf) {
      this.deps.log.warn({ seat: this.seat, container: now.name, process }, 'deaf, restart it');
    }
    this.grafted = true;
  }

  close(): void {
    this.announcer?.close();
  }

  private async repair(container: Container, missing: readonly Graft[], seatPath: string): Promise<void> {
    const started = process.hrtime.bigint();
    const reports = await graft(this.deps.namespaces, container, seatPath, missing);
    const ms = Number((process.hrtime.bigint() - started) / 1000n) / 1000;
    for (const { target, covers } of reports) {
      const facts = { seat: this.seat, container: container.name, target, ms };
      if (covers.length === 0) this.deps.log.info(facts, 'grafted');
      else this.deps.log.warn({ ...facts, covers }, 'grafted over what stood there');
    }
  }
}
