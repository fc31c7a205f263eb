// Which processes have an io_uring. The kernel shows it in procfs only as long as a descriptor of it is open.

import { aboutThreads } from './threads.js';
import { vmlinux } from './vmlinux.js';

/** Made at the first call, and kept for as long as this process lives. */
let ask: (() => ReadonlySet<number>) | undefined;

/**
 * Pids of all processes of which a thread has made or used an io_uring since it began to run its program. A ring that is
 * registered with a thread (IORING_REGISTER_RING_FDS, IORING_SETUP_REGISTERED_FD_ONLY) works without a descriptor, a
 * mapping or a thread of its own, and so do the files that are registered with it (io_uring/tctx.c, io_uring/rsrc.c).
 * Only `io_uring` in struct task_struct tells of it. Throws when this kernel does not let us see that.
 */
export function ringOwners(): ReadonlySet<number> {
  ask ??= prepare();
  return ask();
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

function prepare(): () => ReadonlySet<number> {
  const ring = vmlinux().memberOffset('task_struct', 'io_uring');
  // Compiled without (CONFIG_IO_URING).
  if (ring === undefined) return () => new Set();
  return aboutThreads('hotseat_rings', (program) => program.load64(3, 2, ring).ifEqual(3, 0, 'done'));
}
