import { closeSync } from 'node:fs';
import { release } from 'node:os';
import * as bpf from '../kernel/bpf.js';
import { Assembler } from '../kernel/bpf-asm.js';
import { cgroupRoot } from '../kernel/cgroup.js';
import { openAt } from '../kernel/fs.js';
import { watchInits } from '../kernel/inits.js';
import { openTree, setReadOnly } from '../kernel/mount.js';
import { filesRefusal } from '../kernel/open-files.js';
import { pidfdGetfd, pidfdOpen } from '../kernel/pidfd.js';
import { readOptional } from '../kernel/read.js';
import { ringsRefusal } from '../kernel/rings.js';
import { withdrawalRefusal } from '../kernel/withdraw.js';
import type { KernelFacts, Need, Refusal } from './facts.js';

/** The kernel's version; as root, the features that the agent needs are tried. Nothing of that outlives this call. */
export const kernelFacts = (root: boolean): KernelFacts => ({
  release: release(),
  disabled: (readOptional('/proc/cmdline') ?? '').trim().split(/\s+/).includes('hotseat.disable'),
  cgroups: orNone(cgroupRoot),
  tried: root ? attemptAll() : undefined,
});

const attemptAll = (): KernelFacts['tried'] => ({
  refusals: refusals(),
  withdrawal: withdrawalRefusal(),
  rings: ringsRefusal(),
  files: filesRefusal(),
  inits: watchInits().refusal,
});

const refusals = (): Record<Need, Refusal> =>
  Object.fromEntries(Object.entries(attempts).map(([need, attempt]) => [need, refusalOf(attempt)])) as Record<
    Need,
    Refusal
  >;

const attempts: Readonly<Record<Need, () => void>> = {
  openat2: () => closeSync(openAt(undefined, '/')),
  pidfd: () => {
    const self = pidfdOpen(process.pid);
    try {
      closeSync(pidfdGetfd(self, self));
    } finally {
      closeSync(self);
    }
  },
  mounts: () => {
    const tree = openTree('/');
    try {
      setReadOnly(tree);
    } finally {
      closeSync(tree);
    }
  },
  'device programs': () => {
    const allowAll = new Assembler().set(0, 1).exit().build();
    closeSync(bpf.load(bpf.programType.cgroupDevice, 'hotseat_doctor', allowAll));
  },
};

function refusalOf(attempt: () => void): Refusal {
  try {
    attempt();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function orNone<T>(find: () => T): T | undefined {
  try {
    return find();
  } catch {
    return undefined;
  }
}
