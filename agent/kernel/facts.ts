// Facts about somebody's threads as the kernel tells them (thread-facts.ts). It loads no other file, for programs that never ask.

/**
 * Facts about the first thread of a process. Namespaces are told by their inodes (lsns(8)). A file or directory is told by the address
 * of its inode in the kernel: device and number are the same for all subvolumes of a btrfs. It counts while the process has
 * that file open, and can only be compared with another one of the same moment.
 */
export interface ThreadFacts {
  /** Start, clock ticks since boot, as field 22 of proc_pid_stat(5). */
  readonly start: string;
  /** Threads of the process that have not ended (signal_struct.live); the first one may have ended before the others. */
  readonly threads: number;
  readonly parent: number;
  readonly realUid: number;
  readonly userNamespace: bigint;
  readonly pidNamespace: bigint;
  /** Of the user namespace that owns its pid namespace. */
  readonly pidNamespaceOwner: bigint;
  readonly netNamespace: bigint;
  readonly cgroupNamespace: bigint;
  readonly root: string;
  /** Empty for a thread of the kernel, and for one that has ended. */
  readonly program: string;
  /** The file name of the program, its first 15 bytes. */
  readonly programName: string;
}

let ask: ((tid: number) => ThreadFacts | undefined) | undefined;

/** From now on `factsOf` tells. `by` returns undefined of a thread that has gone, and throws when the kernel does not answer. */
export function tellFacts(by: (tid: number) => ThreadFacts | undefined): void {
  ask = by;
}

/** The answers of the look that is under way, by thread. */
let moment: Map<number, ThreadFacts | 'gone'> | undefined;

/**
 * Runs `look` and returns its result; throws what it throws. Meanwhile the kernel is asked once for each thread: a look at everything needs
 * the same facts many times. `look` does not wait for anything.
 */
export function inOneMoment<T>(look: () => T): T {
  moment = new Map();
  try {
    return look();
  } finally {
    moment = undefined;
  }
}

/**
 * Facts of a thread. Undefined where the kernel is not asked: of the first process of the PC, and in programs that do not begin
 * with `tellFacts`. Procfs has them then.
 */
export function factsOf(tid: number): ThreadFacts | 'gone' | undefined {
  if (ask === undefined || tid === 1) return undefined;
  const facts = moment?.get(tid) ?? ask(tid) ?? 'gone';
  moment?.set(tid, facts);
  return facts;
}

/** One fact, or the same `seen` in procfs. Undefined when the thread has gone, or it cannot be told. */
export function factOf<T>(tid: number, told: (facts: ThreadFacts) => T, seen: () => T | undefined): T | undefined {
  try {
    const facts = factsOf(tid);
    if (facts === undefined) return seen();
    return facts === 'gone' ? undefined : told(facts);
  } catch {
    return undefined;
  }
}
