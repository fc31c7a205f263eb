// A container that does not exist, as the agent gets there: it has no process, no files and no network.

import type { Container } from '../engines/engine.js';
import { Namespaces } from '../kernel/namespaces.js';
import { openUnheardSocket, sendUevent } from '../kernel/netlink.js';
import type { Effects } from '../seat/effects.js';

/** No process has such a number: the largest is 2^22 (proc_sys_kernel(5), pid_max). */
const pid = 0x7fff_ffff;

/** `cgroup`: a directory that stands for its group. */
export const nobody = (name: string, cgroup: string): Container => ({
  ...{ engine: 'lxc', name, user: undefined, pid, key: `${pid}:0`, cgroup, uid: 0, gid: 0 },
  ...{ state: 'running', rooted: true, openable: false },
});

/** No helper is asked about it. */
export class Nowhere extends Namespaces {
  override async graft({ mounts }: Parameters<Namespaces['graft']>[0]): Promise<string[][]> {
    return mounts.map(() => []);
  }

  override async mounts(): ReturnType<Namespaces['mounts']> {
    return [];
  }

  override async find(...[, paths]: Parameters<Namespaces['find']>): ReturnType<Namespaces['find']> {
    return paths.map(() => 'missing');
  }

  override async readFile(): Promise<undefined> {
    return undefined;
  }

  override async unmount(): Promise<void> {}

  override async openUeventSocket(): Promise<number> {
    return openUnheardSocket();
  }
}

/** Messages go their way; nobody has anything open. */
export const harmless: Effects = {
  sendUevent,
  injectUevent: () => undefined,
  findHolders: async () => ({ holders: [], inFlight: [], unseen: [], ringsUnseen: undefined, clients: undefined }),
  revoke: async () => ({ revoked: 0, left: [], suspected: [], handed: [], isHeldUp: false }),
  rebind: () => Promise.reject(new Error('no driver is bound to it')),
};
