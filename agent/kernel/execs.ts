// Processes in the middle of execve(2): a look into such a process can last for ever.

import { tellHeld } from './held.js';
import { aboutThreads } from './threads.js';
import { vmlinux } from './vmlinux.js';

/**
 * A process that executes a program closes files while the kernel holds `exec_update_lock` of it (fs/exec.c,
 * begin_new_exec). A file of a FUSE mount is closed when its server has answered: never, if its owner wants that. The same
 * lock is needed to copy a descriptor of such a process (pidfd_getfd), to compare its threads (kcmp), and, in kernels since
 * July 2026, to read its `stat`, `exe`, `root`, `fd/N` or `ns/*`. A caller that waits for it can only be killed. From now on
 * `isHeld` tells. Returns why it cannot; undefined when it can.
 */
export function watchExecs(): string | undefined {
  try {
    tellHeld(prepare());
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** RWSEM_WRITER_LOCKED (kernel/locking/rwsem.c). */
const writerHolds = 1;

function prepare(): () => ReadonlySet<number> {
  const btf = vmlinux();
  const signal = btf.memberOffset('task_struct', 'signal');
  const lock = btf.memberOffset('signal_struct', 'exec_update_lock');
  const count = btf.memberOffset('rw_semaphore', 'count');
  if (signal === undefined || lock === undefined || count === undefined)
    throw new Error('the kernel does not describe its lock of execve');
  return aboutThreads('hotseat_execs', (program) =>
    program
      .load64(3, 2, signal)
      .ifEqual(3, 0, 'done')
      .load64(3, 3, lock + count)
      .and(3, writerHolds)
      .ifEqual(3, 0, 'done'),
  );
}
