import type { NodeClass } from '../core/device.js';
import type { NodeRef } from '../core/step.js';
import type { Search } from '../kernel/holders.js';
import { injectUevent, sendUevent } from '../kernel/netlink.js';
import type { Loss, Reclaim } from '../kernel/reclaim.js';
import { type Loser, type Revocation, revoke } from './revoke.js';

/**
 * Actions of a seat in the kernel beside its files, its grants and its container's namespaces: it finds the processes
 * that have a device open, takes that back, and speaks to listeners. `cgroup`: of the container that loses the device.
 */
export interface Effects {
  readonly findHolders: (loss: Loss) => Promise<Search>;
  readonly revoke: (nodes: readonly NodeRef[], loser: Loser) => Promise<Revocation>;
  readonly rebind: (unit: string, kind: NodeClass, cgroup?: string) => Promise<string>;
  readonly sendUevent: typeof sendUevent;
  readonly injectUevent: typeof injectUevent;
}

/** This machine's kernel. */
export const effectsBy = (reclaim: Reclaim): Effects => ({
  findHolders: (loss) => reclaim.search(loss),
  revoke: (nodes, loser) => revoke(nodes, loser, reclaim),
  rebind: (unit, kind, cgroup) => reclaim.rebind(unit, kind, cgroup),
  sendUevent,
  injectUevent,
});
