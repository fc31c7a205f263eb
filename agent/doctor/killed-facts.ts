import { dirname, join, relative } from 'node:path';
import { execa } from 'execa';
import type { Container } from '../engines/engine.js';
import { readOptional } from '../kernel/read.js';
import type { KilledFacts } from './facts.js';
import { limit } from './service-facts.js';

/** The fate of a container of which the kernel ends a program for want of memory. `root`: mount point of the cgroup2 hierarchy. */
export async function killedFacts({ pid, cgroup, user }: Container, root: string): Promise<KilledFacts> {
  const score = readOptional(`/proc/${pid}/oom_score_adj`);
  const unit = user === undefined ? unitAbove(relative(root, cgroup)) : undefined;
  return {
    score: score === undefined ? undefined : Number(score),
    group: togetherAt(cgroup, root),
    stopped: unit !== undefined && (await endsAll(unit)) ? unit : undefined,
  };
}

/** The lowest unit on the way to a group. A name that the hierarchy has a use for itself has an underscore (cg_escape). */
const unitAbove = (path: string): string | undefined =>
  path
    .split('/')
    .findLast((name) => /\.(service|scope)$/.test(name))
    ?.replace(/^_/, '');

/** The group whose processes the kernel ends together (cgroup-v2.rst, memory.oom.group), the container's or one above it. */
function togetherAt(cgroup: string, root: string): string | undefined {
  for (let at = cgroup; at.startsWith(`${root}/`); at = dirname(at))
    if (readOptional(join(at, 'memory.oom.group'))?.trim() === '1') return relative(root, at);
  return undefined;
}

/** Whether systemd then stops the unit (systemd.service(5), OOMPolicy=). */
async function endsAll(unit: string): Promise<boolean> {
  const command = ['show', '--property=OOMPolicy', '--value', '--', unit];
  const { stdout, failed } = await execa('systemctl', command, { reject: false, timeout: limit });
  return !failed && (stdout === 'stop' || stdout === 'kill');
}
