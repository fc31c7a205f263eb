/**
 * The kernel adds so many thousandths of all memory to the memory of a seat's program when it looks for a program to end
 * (proc_pid_oom_score_adj(5)). `seat`: a program of the host's is only ended first if it alone has half of the memory.
 * `first`: for a seat with more than its even part. Its programs end before those of all other seats, however small they are.
 */
export const scores = { seat: 500, first: 1000 } as const;

/** The value for a process that has `now`. One that asks for more itself keeps it, so that a seat can choose among its own. */
export function scoreFor(now: number, seat: number): number {
  const isFormer = now === scores.first && seat < now;
  return isFormer || now < seat ? seat : now;
}

/** The value when Hotseat has nothing to say any more. `former`: of the container's init, before anything was changed. */
export const scoreBack = (now: number, former: number): number =>
  now === scores.seat || now === scores.first ? former : now;

/** Back below so much of its part, a seat is one like the others again. */
const belowAgain = 0.8;

/** Whether a seat has more than its even part of the memory. `was`: whether it had when it was looked at last. */
export const hasMoreThanItsPart = (used: number, part: number, was: boolean): boolean =>
  used > part * (was ? belowAgain : 1);

/** The memory that a group keeps from others, bytes: caches of files can be taken from it at any time (cgroup-v2.rst, memory.stat). */
export function keptMemory(stat: string, swapped: string | undefined): number {
  const of = (key: string): number => Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
  return of('anon') + of('shmem') + Number(swapped ?? 0);
}

/** The memory that programs can have at all, bytes, from /proc/meminfo: huge pages are set aside for those that ask for them. */
export function memoryToShare(meminfo: string): number {
  const of = lineOf(meminfo);
  return (of('MemTotal') + of('SwapTotal') - of('Hugetlb')) * 1024;
}

/** Whether four fifths of the memory are free: nobody is near the end of it, and a PC at rest is not woken for a look. */
export function isAmple(meminfo: string): boolean {
  const of = lineOf(meminfo);
  return of('MemAvailable') * 5 > of('MemTotal') * 4;
}

/** A value of /proc/meminfo (proc_meminfo(5)), kB. */
const lineOf =
  (meminfo: string) =>
  (key: string): number =>
    Number(new RegExp(`^${key}:\\s*(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? 0);
