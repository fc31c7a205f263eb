import { isRenderNode } from '../core/device.js';
import { leavingCards } from '../core/plan.js';
import { type DesiredSeat, nodePath } from '../core/state.js';
import type { JournalEntry, NodeSpec } from '../core/step.js';
import { hasty, type Limits, patient } from '../kernel/holders.js';
import type { Executor } from './executor.js';
import { mappedIn } from './mapped.js';
import { clientsOf, doubts } from './revoke.js';
import type { SeatDeps } from './worker.js';

/** Whether a graphics card was let go is looked at this often while one is wanted elsewhere, ms. */
const lookAgain = 1000;

/**
 * Cards that must leave a seat and cannot: a card that Xorg draws on cannot be taken from it. It stays until it is let go,
 * which nobody tells us of.
 */
export class BlockedCards {
  /** By unit: why it cannot leave, and who holds it, in words. */
  private readonly blocked = new Map<string, string>();
  private said = '';
  private timer: NodeJS.Timeout | undefined;

  /** `again` is called with these cards when it is time to look again. */
  constructor(
    private readonly seat: string,
    private readonly deps: Pick<SeatDeps, 'effects' | 'namespaces' | 'keepers' | 'present' | 'log'>,
    private readonly loser: Executor['loser'],
    private readonly again: (units: ReadonlySet<string>) => void,
  ) {}

  /** In words, what cannot leave; empty when everything can. */
  get words(): string {
    return this.said;
  }

  /** Those that must leave now and cannot; of these units only, undefined: of all. */
  async find(
    desired: DesiredSeat,
    journal: ReadonlyMap<string, JournalEntry>,
    units: ReadonlySet<string> | undefined,
  ): Promise<ReadonlySet<string>> {
    const blocked = new Map<string, string>();
    for (const [unit, nodes] of leavingCards(desired, journal, this.deps.present)) {
      const why = await this.holderOf(unit, nodes).catch((error: Error) => error.message);
      if (why !== undefined) blocked.set(unit, `${nodes.map(nodePath).join(' and ')} cannot leave: ${why}`);
    }
    for (const unit of units ?? [...this.blocked.keys()]) this.blocked.delete(unit);
    for (const [unit, why] of blocked) this.blocked.set(unit, why);
    this.say();
    return new Set(blocked.keys());
  }

  close(): void {
    clearTimeout(this.timer);
  }

  /** In words, who has the nodes of a card open, or may have; undefined when nobody does. */
  private async holderOf(unit: string, nodes: readonly NodeSpec[]): Promise<string | undefined> {
    const loser = this.loser();
    const keepers = this.deps.keepers(unit);
    // The kernel lists everybody who has any node of a card open. A render node leaves while the holder is the card's master.
    const isListed = nodes.some(({ name }) => !isRenderNode(name));
    const searched = async (limits: Limits) => {
      const search = await this.deps.effects.findHolders({
        nodes: nodes.map(({ number }) => ({ number, by: undefined })),
        ...{ limits, cgroup: loser.cgroup, keepers },
      });
      return isListed ? search : { ...search, clients: undefined };
    };
    const brief = await searched(hasty);
    // The kernel's own list is the answer: the descriptors of all others, which may be millions, need no look then.
    const search = clientsOf(brief, { keepers }) === undefined ? await searched(patient) : brief;
    const held = search.holders.map(({ command, pid }) => `held by ${command} (pid ${pid})`);
    const { left, handed } = doubts(search, { ...loser, keepers, patient: true });
    // A shared device stays open to its other seats: no stranger holds it up.
    const found = [...held, ...left, ...(keepers.length === 0 ? handed : [])];
    const isTold = clientsOf(search, { keepers }) !== undefined;
    return found[0] ?? (isTold ? undefined : this.mappedWith(loser.cgroup, nodes));
  }

  private async mappedWith(cgroup: string | undefined, nodes: readonly NodeSpec[]): Promise<string | undefined> {
    if (cgroup === undefined) return undefined;
    const numbers = nodes.map(({ number }) => number);
    return (await mappedIn(this.deps.namespaces, cgroup, numbers))[0];
  }

  private say(): void {
    const said = [...this.blocked.values()].join('; ');
    if (said !== '' && said !== this.said) this.deps.log.warn({ seat: this.seat, blocked: said }, 'blocked');
    this.said = said;
    clearTimeout(this.timer);
    if (said === '') return;
    this.timer = setTimeout(() => this.again(new Set(this.blocked.keys())), lookAgain).unref();
  }
}
