// Who has a device open: a search through everybody's descriptors, as many of them as somebody may have made.

import { type Dir, opendirSync, readdirSync, readlinkSync } from 'node:fs';
import { type DeviceNumber, numberText } from '../core/device.js';
import { cgroupOf, ownerOf } from './cgroup.js';
import { syscall } from './libc.js';
import { readOptional } from './read.js';
import { rdevOf } from './statx.js';

/** A descriptor of a device that some process has open. */
export interface Holder {
  /** The process; or the one thread of it that keeps descriptors of its own. */
  readonly pid: number;
  readonly fd: number;
  readonly command: string;
  /** Its cgroup, absolute path; empty when it is in none. */
  readonly cgroup: string;
  readonly number: DeviceNumber;
}

/**
 * A process that may have open files which are in nobody's table of descriptors: queued in an unread message of one of
 * its sockets, or held by an io_uring.
 */
export interface InFlight {
  readonly pid: number;
  readonly command: string;
  /** Its cgroup, absolute path; empty when it is in none. */
  readonly cgroup: string;
}

/** A process of which not all was looked at: its owner has more descriptors than that. */
export type Unseen = InFlight;

export interface Search {
  readonly holders: readonly Holder[];
  readonly inFlight: readonly InFlight[];
  /** Empty when the search was complete. */
  readonly unseen: readonly Unseen[];
}

/** How many descriptors and threads are looked at: of one owner, and of all. A look takes some 20 µs. */
export interface Limits {
  readonly ofOne: number;
  readonly ofAll: number;
}

/** While a container stands still for it. */
const hasty: Limits = { ofOne: 20_000, ofAll: 200_000 };
/** While nobody does. */
export const patient: Limits = { ofOne: 1_000_000, ofAll: 4_000_000 };

/** Longest that everything else waits for a part of the search, ms. */
const slice = 10;

/** Everybody on this machine who has one of the devices open, and everybody who may be about to. */
export async function findHolders(numbers: readonly DeviceNumber[], limits: Limits = hasty): Promise<Search> {
  const wanted = new Map(numbers.map((number) => [numberText(number), number]));
  const [holders, inFlight, unseen]: [Holder[], InFlight[], Unseen[]] = [[], [], []];
  const budget = new Budget(limits);
  let began = performance.now();
  const isLong = () => performance.now() - began > slice;
  const breathe = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    began = performance.now();
  };
  for (const { pid, cgroup } of processes()) {
    const owner = ownerOf(cgroup);
    const isLeft = () => budget.take(owner);
    let queued = false;
    for (const table of tablesOf(pid, isLeft)) {
      if (isLong()) await breathe();
      if (table === 'shared') continue;
      for (const fd of descriptors(table, isLeft)) {
        if (isLong()) await breathe();
        const found = whatIs(table, fd);
        if (found === 'queue') queued = true;
        const number = found === undefined ? undefined : wanted.get(found);
        if (number === undefined || isNameOnly(table, fd)) continue;
        holders.push({ pid: table, fd, command: commandOf(table), cgroup, number });
      }
    }
    if (queued) inFlight.push({ pid, command: commandOf(pid), cgroup });
    if (budget.isOver(owner)) unseen.push({ pid, command: commandOf(pid), cgroup });
  }
  return { holders, inFlight, unseen };
}

/** Counts what was looked at, by owner. */
class Budget {
  private readonly spent = new Map<string, number>();
  private all = 0;

  constructor(private readonly limits: Limits) {}

  /** Whether there is one more look for this owner. */
  take(owner: string): boolean {
    const spent = (this.spent.get(owner) ?? 0) + 1;
    this.spent.set(owner, spent);
    this.all += 1;
    return !this.isOver(owner);
  }

  isOver(owner: string): boolean {
    return (this.spent.get(owner) ?? 0) > this.limits.ofOne || this.all > this.limits.ofAll;
  }
}

/** The number of the device that a descriptor is of; `queue` for what may have others inside. */
function whatIs(pid: number, fd: number): string | undefined {
  const link = linkOf(pid, fd);
  if (link === undefined) return undefined;
  if (link.startsWith('socket:')) return hasQueued(pid, fd) ? 'queue' : undefined;
  // A request under way holds its file as well as a registration does, and is shown nowhere (io_uring/fdinfo.c).
  if (link === 'anon_inode:[io_uring]') return 'queue';
  return link.startsWith('/') ? rdevOf(pid, fd) : undefined;
}

function* processes(): Iterable<{ pid: number; cgroup: string }> {
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (Number.isInteger(pid) && pid !== process.pid) yield { pid, cgroup: cgroupOf(pid) ?? '' };
  }
}

/** Every table of descriptors of a process: its own, and one for each thread that left it; the others share the first. */
function* tablesOf(pid: number, isLeft: () => boolean): Iterable<number | 'shared'> {
  yield pid;
  for (const thread of numbersIn(`/proc/${pid}/task`, isLeft)) {
    if (thread !== pid) yield sharesTable(pid, thread) ? 'shared' : thread;
  }
}

const descriptors = (pid: number, isLeft: () => boolean): Iterable<number> => numbersIn(`/proc/${pid}/fd`, isLeft);

/** Names in a directory of procfs, one after the other, as long as there is a look left. */
function* numbersIn(path: string, isLeft: () => boolean): Iterable<number> {
  let directory: Dir;
  try {
    directory = opendirSync(path, { bufferSize: 512 });
  } catch {
    return; // it has gone
  }
  try {
    for (let entry = directory.readSync(); entry !== null && isLeft(); entry = directory.readSync()) {
      yield Number(entry.name);
    }
  } catch {
    // It goes just now.
  } finally {
    directory.closeSync();
  }
}

function linkOf(pid: number, fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return undefined;
  }
}

/** O_PATH (open(2)): nothing is read by such a descriptor, and whoever opens anew by it is asked for a grant. */
const isNameOnly = (pid: number, fd: number): boolean =>
  (Number.parseInt(/^flags:\s*(\d+)/m.exec(readOptional(`/proc/${pid}/fdinfo/${fd}`) ?? '')?.[1] ?? '0', 8) &
    0o10000000) !==
  0;

/** Descriptors in messages of a unix socket that nobody has read (net/unix/af_unix.c, unix_show_fdinfo). */
const queuedOnSocket = /^scm_fds:\s*(\d+)/m;

const hasQueued = (pid: number, fd: number): boolean =>
  Number(queuedOnSocket.exec(readOptional(`/proc/${pid}/fdinfo/${fd}`) ?? '')?.[1] ?? 0) > 0;

/** unshare(CLONE_FILES) gives a thread descriptors that the process's own /proc/pid/fd does not show (kcmp(2), KCMP_FILES). */
function sharesTable(pid: number, thread: number): boolean {
  try {
    return syscall('kcmp', `threads of ${pid}`, pid, thread, 2, 0, 0) === 0;
  } catch {
    return false;
  }
}

const commandOf = (pid: number): string => (readOptional(`/proc/${pid}/comm`) ?? '').trim();
