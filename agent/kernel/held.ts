// Processes that are in the middle of execve(2), as the kernel says (execs.ts). It loads no other file, for programs that never ask.

/**
 * How long an answer counts, ms, or so many times as long as it took to get: a search looks into ten thousands of files, and with
 * many threads, or on a slow machine, it would do little else than ask.
 */
const fresh = { ms: 2, times: 5 };

let ask: (() => ReadonlySet<number>) | undefined;
let held: ReadonlySet<number> = new Set();
let staleAt = Number.NEGATIVE_INFINITY;

/** From now on `isHeld` tells; `by` returns the pids. */
export function tellHeld(by: () => ReadonlySet<number>): void {
  ask = by;
}

/** Whether a process is in the middle of execve, as of about now. */
export function isHeld(pid: number): boolean {
  if (ask === undefined) return false;
  const now = performance.now();
  if (now > staleAt) {
    held = ask();
    const answered = performance.now();
    staleAt = answered + Math.max(fresh.ms, (answered - now) * fresh.times);
  }
  return held.has(pid);
}

/** The same of a path of procfs. */
export function isHeldAt(path: string): boolean {
  const pid = /^\/proc\/(\d+)\//.exec(path)?.[1];
  return pid !== undefined && isHeld(Number(pid));
}
