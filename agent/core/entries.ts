import { Multimap } from './multimap.js';
import { nodeKey } from './state.js';
import type { JournalEntry } from './step.js';

/** The entries of a seat, by record id, by unit and by the name of the node. */
export class Entries {
  private readonly byId = new Map<string, JournalEntry>();
  private readonly unitIds = new Multimap<string, string>();
  private readonly nodeIds = new Multimap<string, string>();
  private readonly servedIds = new Set<string>();

  /** All of it, in the order in which it was given. */
  get all(): ReadonlyMap<string, JournalEntry> {
    return this.byId;
  }

  /** In the order in which it was given. */
  ofUnit(unit: string): JournalEntry[] {
    return this.those(this.unitIds.get(unit));
  }

  /** `node`: as `nodeKey` has it. Two entries have one name while a number that was reused has another one. */
  ofNode(node: string): JournalEntry[] {
    return this.those(this.nodeIds.get(node));
  }

  /** Whether any of it is opened by the holder. */
  get isServed(): boolean {
    return this.servedIds.size > 0;
  }

  has(unit: string): boolean {
    return this.unitIds.get(unit).size > 0;
  }

  put(entry: JournalEntry): void {
    const former = this.byId.get(entry.id);
    if (former !== undefined) this.unlist(former);
    this.byId.set(entry.id, entry);
    this.unitIds.add(entry.unit, entry.id);
    if (entry.node !== undefined) this.nodeIds.add(nodeKey(entry.node), entry.id);
    if (entry.served !== undefined) this.servedIds.add(entry.id);
  }

  delete(id: string): void {
    const former = this.byId.get(id);
    if (former === undefined) return;
    this.unlist(former);
    this.byId.delete(id);
  }

  private unlist({ id, unit, node }: JournalEntry): void {
    this.unitIds.delete(unit, id);
    if (node !== undefined) this.nodeIds.delete(nodeKey(node), id);
    this.servedIds.delete(id);
  }

  private those(ids: ReadonlySet<string>): JournalEntry[] {
    return [...ids].flatMap((id) => this.byId.get(id) ?? []);
  }
}
