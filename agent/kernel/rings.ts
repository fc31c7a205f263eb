// Which processes have an io_uring. The kernel shows it in procfs only as long as a descriptor of it is open.

import { closeSync } from 'node:fs';
import * as bpf from './bpf.js';
import { Assembler, helper } from './bpf-asm.js';
import { readAtMost } from './read.js';
import { vmlinux } from './vmlinux.js';

/** So much is read of the kernel's answer, bytes: four for each thread. */
const longest = 4 * 4_194_304; // PID_MAX_LIMIT (linux/threads.h)

/** Of a kernel that has io_uring: kept for as long as this process lives. `none`: a kernel without. */
let iterator: { readonly link: number } | 'none' | undefined;

/**
 * Pids of all processes of which a thread has made or used an io_uring since it began to run its program. A ring that is
 * registered with a thread (IORING_REGISTER_RING_FDS, IORING_SETUP_REGISTERED_FD_ONLY) works without a descriptor, a
 * mapping or a thread of its own, and so do the files that are registered with it (io_uring/tctx.c, io_uring/rsrc.c).
 * Only `io_uring` in struct task_struct tells of it. Throws when this kernel does not let us see that.
 */
export function ringOwners(): ReadonlySet<number> {
  iterator ??= prepare();
  const owners = new Set<number>();
  if (iterator === 'none') return owners;
  const round = bpf.openIterator(iterator.link);
  try {
    const pids = readAtMost(round, longest);
    if (pids === undefined) throw new Error('the kernel tells of too many io_urings');
    for (let at = 0; at < pids.length; at += 4) owners.add(pids.readUInt32LE(at));
    return owners;
  } finally {
    closeSync(round);
  }
}

/** Why this kernel does not let us see that; undefined when it does. The first call takes some 50 ms. */
export function ringsRefusal(): string | undefined {
  try {
    ringOwners();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function prepare(): { readonly link: number } | 'none' {
  const btf = vmlinux();
  const ring = btf.memberOffset('task_struct', 'io_uring');
  // Compiled without (CONFIG_IO_URING).
  if (ring === undefined) return 'none';
  const pid = btf.memberOffset('task_struct', 'tgid');
  const target = btf.functionId('bpf_iter_task');
  if (pid === undefined || target === undefined) throw new Error('the kernel has no iterator of its threads');
  const program = bpf.load(bpf.programType.tracing, 'hotseat_rings', ringProgram(ring, pid), target);
  try {
    return { link: bpf.linkIterator(program) };
  } finally {
    closeSync(program);
  }
}

/** Runs for each thread (struct bpf_iter__task: meta, task) and writes the pid of a thread with an io_uring. */
const ringProgram = (ring: number, pid: number): Buffer =>
  new Assembler()
    .load64(2, 1, 8)
    // The last round has no thread.
    .ifEqual(2, 0, 'done')
    .load64(3, 2, ring)
    .ifEqual(3, 0, 'done')
    .load32(3, 2, pid)
    .store32(10, -8, 3)
    // bpf_seq_write(meta->seq, &pid, 4)
    .load64(1, 1, 0)
    .load64(1, 1, 0)
    .move(2, 10)
    .add(2, -8)
    .set(3, 4)
    .call(helper.seqWrite)
    .label('done')
    .set(0, 0)
    .exit()
    .build();
