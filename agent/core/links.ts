import { Multimap } from './multimap.js';
import { nodeKey } from './state.js';
import type { LinkSpec } from './step.js';

/** The links of a seat, by their own names and by the nodes that they lead to; both as `nodeKey` has them. */
export class Links {
  private readonly byName = new Map<string, LinkSpec>();
  private readonly byNode = new Multimap<string, string>();

  constructor(links: Iterable<LinkSpec> = []) {
    for (const link of links) this.put(link);
  }

  get all(): ReadonlyMap<string, LinkSpec> {
    return this.byName;
  }

  leadingTo(node: string): LinkSpec[] {
    return [...this.byNode.get(node)].flatMap((name) => this.byName.get(name) ?? []);
  }

  put(link: LinkSpec): void {
    const name = nodeKey(link);
    this.delete(name);
    this.byName.set(name, link);
    this.byNode.add(targetOf(link), name);
  }

  delete(name: string): void {
    const former = this.byName.get(name);
    if (former === undefined) return;
    this.byNode.delete(targetOf(former), name);
    this.byName.delete(name);
  }
}

/** The node that a link leads to, as `nodeKey` has it. */
export const targetOf = ({ class: name, node }: LinkSpec): string => nodeKey({ class: name, name: node });
