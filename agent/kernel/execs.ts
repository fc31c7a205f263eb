// Processes in the middle of execve(2): a look into such a process can last for ever.

import { closeSync } from 'node:fs';
import * as bpf from './bpf.js';
import { Assembler, helper } from './bpf-asm.js';
import { tellHeld } from './held.js';
import { readAtMost } from './read.js';
import { vmlinux } from './vmlinux.js';

/** So much is read of the kernel's answer, bytes: four for each thread. */
const longest = 4 * 4_194_304; // PID_MAX_LIMIT (linux/threads.h)

/** Undefined: nobody asked for it, or this kernel does not tell. */
let iterator: number | undefined;

/**
 * A process that executes a program closes files while the kernel holds `exec_update_lock` of it (fs/exec.c,
 * begin_new_exec). A file of a FUSE mount is closed when its server has answered: never, if its owner wants that. The same
 * lock is needed to copy a descriptor of such a process (pidfd_getfd), to compare its threads (kcmp), and, in kernels since
 * July 2026, to read its `stat`, `exe`, `root`, `fd/N` or `ns/*`. A caller that waits for it can only be killed. From now on
 * `isHeld` tells. Returns why it cannot; undefined when it can.
 */
export function watchExecs(): string | undefined {
  try {
    iterator ??= prepare();
    const link = iterator;
    tellHeld(() => inExec(link));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function inExec(link: number): ReadonlySet<number> {
  const round = bpf.openIterator(link);
  try {
    const pids = readAtMost(round, longest) ?? Buffer.alloc(0);
    const found = new Set<number>();
    for (let at = 0; at < pids.length; at += 4) found.add(pids.readUInt32LE(at));
    return found;
  } finally {
    closeSync(round);
  }
}

function prepare(): number {
  const btf = vmlinux();
  const signal = btf.memberOffset('task_struct', 'signal');
  const lock = btf.memberOffset('signal_struct', 'exec_update_lock');
  const count = btf.memberOffset('rw_semaphore', 'count');
  const pid = btf.memberOffset('task_struct', 'tgid');
  const target = btf.functionId('bpf_iter_task');
  if (signal === undefined || lock === undefined || count === undefined || pid === undefined || target === undefined)
    throw new Error('the kernel does not describe its lock of execve');
  const code = execProgram({ signal, lock: lock + count, pid });
  const program = bpf.load(bpf.programType.tracing, 'hotseat_execs', code, target);
  try {
    return bpf.linkIterator(program);
  } finally {
    closeSync(program);
  }
}

/** RWSEM_WRITER_LOCKED (kernel/locking/rwsem.c). */
const writerHolds = 1;

/** Runs for each thread (struct bpf_iter__task: meta, task) and writes the pid of one whose lock a writer holds. */
const execProgram = (at: { readonly signal: number; readonly lock: number; readonly pid: number }): Buffer =>
  new Assembler()
    .load64(2, 1, 8)
    // The last round has no thread.
    .ifEqual(2, 0, 'done')
    .load64(3, 2, at.signal)
    .ifEqual(3, 0, 'done')
    .load64(3, 3, at.lock)
    .and(3, writerHolds)
    .ifEqual(3, 0, 'done')
    .load32(3, 2, at.pid)
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
