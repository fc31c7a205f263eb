import { closeSync, statSync } from 'node:fs';
import { liesAlone } from '../core/device.js';
import type { NodeSpec, Placeholder } from '../core/step.js';
import type { Container } from '../engines/engine.js';
import { mountPoints } from '../kernel/mount.js';
import type { Namespaces } from '../kernel/namespaces.js';
import type { NodeBind } from '../kernel/node-bind.js';
import { nodeClasses } from './layout.js';

/** Nodes of a seat that lie in no grafted directory, and are shown in its container each by a mount of its own. */
export class ShownNodes {
  private names: Set<string> | undefined;

  constructor(
    private readonly container: Pick<Container, 'pid' | 'key' | 'uid' | 'gid'>,
    private readonly namespaces: Pick<Namespaces, 'bindNode' | 'unbindNode' | 'mounts'>,
    private readonly seatPath: string,
  ) {}

  /** Which are there; undefined until that was looked at. */
  get now(): ReadonlySet<string> | undefined {
    return this.names;
  }

  /** Looks which are there: on top of their place in `/dev`, and the very node that the seat has under that name. */
  async look(): Promise<void> {
    const ours = mountPoints('self').find((mount) => mount.target === this.seatPath)?.device;
    const mounts = await this.namespaces.mounts(this.container, { devices: ours === undefined ? [] : [ours] });
    // Later lines are mounted over earlier ones.
    const top = new Map(mounts.map((mount) => [mount.target, mount]));
    this.names = new Set(
      [...top.values()].flatMap(({ device, root, target }) => {
        const name = /^\/dev\/([\w-]+)$/.exec(target)?.[1];
        const isPlace = nodeClasses.some((at) => liesAlone(at) && root === `/dev/${at}/${name}`);
        return device === ours && name !== undefined && isPlace ? [name] : [];
      }),
    );
  }

  /** Mounts a node, given as a detached mount that is closed here. */
  async show({ name }: NodeSpec, tree: number, former: Placeholder | undefined): Promise<NodeBind> {
    try {
      const { container } = this;
      const owner = { uid: container.uid, gid: container.gid };
      const bind = await this.namespaces.bindNode({ process: container, owner, tree, name, former });
      this.names?.add(name);
      return bind;
    } finally {
      closeSync(tree);
    }
  }

  async hide(name: string, placeholder: Placeholder | undefined): Promise<void> {
    const device = statSync(this.seatPath, { bigint: true }).dev;
    await this.namespaces.unbindNode({ process: this.container, name, device, placeholder });
    this.names?.delete(name);
  }
}
