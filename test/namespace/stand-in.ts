import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import type { Container } from '../../agent/engines/engine.js';
import { refTo } from './ref-to.js';

/**
 * A process with mounts, a network, a /dev and a /run of its own, in a cgroup that is made for it: stands for a running
 * container. `also`: a shell script of its root before it is up.
 */
export async function standIn(cgroup: string, also = 'true'): Promise<{ child: ChildProcess; container: Container }> {
  mkdirSync(cgroup, { recursive: true });
  const begin = `echo $$ > ${cgroup}/cgroup.procs && mount -t tmpfs dev /dev && mount -t tmpfs run /run && { ${also}; } && echo up && exec sleep 600`;
  const child = spawn('unshare', ['--mount', '--net', '--propagation', 'private', 'sh', '-c', begin], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return {
    child,
    container: {
      ...{ engine: 'lxc', name: 'left', user: undefined, ...refTo(child.pid), cgroup, uid: 0, gid: 0 },
      ...{ state: 'running', rooted: true, openable: true },
    },
  };
}
