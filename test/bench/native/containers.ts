// Stand-ins for running containers: a process each, with mounts, a network and a group of its own.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Container } from '../../../agent/engines/engine.js';
import { removeGroups } from '../../namespace/remove-groups.js';
import { standIn } from '../../namespace/stand-in.js';

/** Containers of which the agent is told. */
export class Containers {
  private readonly running: { readonly child: ChildProcess; readonly container: Container }[] = [];

  /** `root`: group that theirs are made below. */
  constructor(private readonly root: string) {}

  async start(names: readonly string[]): Promise<Container[]> {
    for (const name of names) this.running.push(await standIn(join(this.root, name)));
    return this.running.map(({ container }, index) => ({ ...container, name: names[index] ?? '' }));
  }

  async end(): Promise<void> {
    for (const { child, container } of this.running.splice(0)) {
      await killed(child);
      rmdirSync(container.cgroup);
    }
  }
}

/** A root of its own, with the machine's programs (pivot_root(8)). */
const ownRoot = [
  'mount -t tmpfs run /run && mkdir /run/root && mount -t tmpfs root /run/root && cd /run/root',
  'mkdir usr etc proc sys dev run tmp old && ln -s usr/bin usr/sbin usr/lib usr/lib64 .',
  'cp /etc/passwd /etc/group etc/ && mount --rbind /usr usr && mount -t proc proc proc',
  'mount -t tmpfs dev dev && mount -t tmpfs run run && pivot_root . old && umount -l old',
].join(' && ');

/**
 * A container that the agent finds by itself: its init is pid 1 of a namespace of its own, in a group as LXC names it.
 */
export async function foundAsLxc(groups: string, name: string): Promise<{ end(): Promise<void> }> {
  const cgroup = join(groups, `lxc.payload.${name}`);
  mkdirSync(cgroup);
  const script = `echo $$ > ${cgroup}/cgroup.procs && ${ownRoot} && echo up && exec sleep 600`;
  const namespaces = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--propagation', 'private'];
  const child = spawn('unshare', [...namespaces, 'sh', '-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return {
    end: async () => {
      await killed(child);
      // Its init dies with it, and is not waited for by us.
      await removeGroups([cgroup]);
    },
  };
}

async function killed(child: ChildProcess): Promise<void> {
  const over = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGKILL');
  await over;
}
