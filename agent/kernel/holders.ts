// Which processes have a device open: a search through all descriptors, of which others can make very many. A look at some of
// them may never end: this is for a helper process.

import { constants, type Dir, opendirSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { type DeviceNumber, numberText } from '../core/device.js';
import { cgroupOf, isWithin, ownerOf } from './cgroup.js';
import { drmClients } from './drm-clients.js';
import { factOf } from './facts.js';
import { isHeld } from './held.js';
import { syscall } from './libc.js';
import { whoMayHave } from './open-files.js';
import { namespacePids } from './pidfd.js';
import { queueOn } from './queued.js';
import { isGone, readOptional } from './read.js';
import { realUid } from './real-uid.js';
import { ringOwners } from './rings.js';
import { look } from './statx.js';

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
  /** Its real uid; undefined when it has ended. */
  readonly uid: number | undefined;
  /** Of root or of a system account, and in no pid namespace of its own: no user and no container rules it. */
  readonly isHosts: boolean;
}

/**
 * A process of which not all was looked at: its owner has more descriptors than that, something of it is not shown to us, or a
 * look at a process of its owner did not end. Or the time for the search was over before it; others behind it are not named.
 */
export interface Unseen extends InFlight {
  readonly why: 'too many' | 'refused' | 'endless' | 'late';
}

export interface Search {
  readonly holders: readonly Holder[];
  readonly inFlight: readonly InFlight[];
  /** Empty when the search was complete. */
  readonly unseen: readonly Unseen[];
  /** Why io_urings without a descriptor cannot be found; undefined when they can. */
  readonly ringsUnseen: string | undefined;
  /** Of a graphics card, all who have it open, in words; undefined where the kernel does not tell. */
  readonly clients: readonly string[] | undefined;
}

/**
 * How many descriptors and threads are looked at: of one owner, and of all. A look takes some 10 µs, and a process counts as some
 * looks, also one that has nothing open. And for how long, ms: `files`, the kernel is asked who may have a device; `whole`, the whole
 * search takes. After that no other process is looked at.
 */
export interface Limits {
  readonly ofOne: number;
  readonly ofAll: number;
  readonly ms: { readonly files: number; readonly whole: number };
}

/** While a container stands still for it. */
export const hasty: Limits = { ofOne: 20_000, ofAll: 200_000, ms: { files: 300, whole: 1500 } };
/** While nobody does. No clock ends it, and it takes four owners with as many descriptors as they may have to use up all looks. */
export const patient: Limits = {
  ofOne: 1_000_000,
  ofAll: 4_000_000,
  ms: { files: 10_000, whole: Number.POSITIVE_INFINITY },
};

/** The cost of a process that has nothing open, in looks. */
const looksAProcess = 20;

/** So many looks between two signs of life: the search of one process can take a minute. */
const looksASign = 1000;

/** How a search is to be made. */
export interface SearchOptions {
  readonly limits: Limits;
  /** Owners (`ownerOf`) whose processes are not looked at. */
  readonly spared: readonly string[];
  /** Groups of containers that keep the devices: what their processes have open is not told. */
  readonly keepers: readonly string[];
}

/**
 * All processes of this machine that have one of the devices open, and all that may be about to, but for this one and the one that
 * it works for. Where the kernel tells who may have one, nobody else is looked at. `at` is told which process is looked at, before
 * each and again and again meanwhile, and 0 behind the last one.
 */
export function findHolders(
  numbers: readonly DeviceNumber[],
  { limits, spared, keepers }: SearchOptions,
  at: (pid: number) => void = () => undefined,
): Search {
  const wanted = new Map(numbers.map((number) => [numberText(number), number]));
  const [holders, inFlight, unseen]: [Holder[], InFlight[], Unseen[]] = [[], [], []];
  const budget = new Budget(limits);
  const told = { spared: new Set<string>(), queued: new Set<string>(), over: new Set<string>() };
  const end = performance.now() + limits.ms.whole;
  const rings = whoHasRings();
  const suspects = whoMayHave(numbers, { ms: limits.ms.files, sign: () => at(0) });
  for (const pid of suspects === undefined ? processes() : inOrder(suspects.all, rings.owners)) {
    if (pid === process.pid || pid === process.ppid) continue;
    at(pid);
    const cgroup = cgroupOf(pid) ?? '';
    const owner = ownerOf(cgroup);
    let looks = 0;
    const isLeft = (): boolean => {
      if (looks++ % looksASign === 0) at(pid);
      return budget.take(purse());
    };
    let actsAsRoot: boolean | undefined;
    const isRoot = (): boolean => {
      actsAsRoot ??= isRoots(pid);
      return actsAsRoot;
    };
    let rootsOwn: boolean | undefined;
    // A session's owner cannot use up the budget of root's processes in there, such as sshd.
    const purse = (): string => {
      if (!budget.isOver(owner)) return owner;
      rootsOwn ??= isRoot() && namespacePids(pid)?.length === 1 && uidOf(pid, budget, owner) === 0;
      return rootsOwn ? `${owner} (root)` : owner;
    };
    const who = (): InFlight => {
      // That takes as long as a look into a process does.
      budget.spend(purse(), looksAProcess);
      const uid = uidOf(pid, budget, owner);
      const isHosts = uid !== undefined && uid <= lastSystemUid && namespacePids(pid)?.length === 1;
      return { pid, command: commandOf(pid), cgroup, uid, isHosts };
    };
    // Of an owner whose processes are not looked at, one is named, and one more that is root's: root's may be below a user's slice.
    const isFirst = (among: Set<string>): boolean => isNews(among, `${owner} ${isRoot()}`);
    if (performance.now() > end) {
      unseen.push({ ...who(), why: 'late' });
      break;
    }
    if (spared.includes(owner)) {
      if (isFirst(told.spared)) unseen.push({ ...who(), why: 'endless' });
      continue;
    }
    const isKeepers = keepers.some((keeper) => isWithin(cgroup, keeper));
    let queued = rings.owners.has(pid) || suspects?.queued.has(pid) === true;
    let refused = false;
    const unlessGone = (error: unknown): void => {
      if (!isGone(error)) refused = true;
    };
    const isSpent = budget.isOver(purse());
    if (!isSpent) budget.spend(purse(), looksAProcess);
    for (const table of budget.isOver(purse()) ? [] : tablesOf(pid, isLeft, unlessGone)) {
      if (table === 'shared') continue;
      for (const fd of numbersIn(`/proc/${table}/fd`, isLeft, unlessGone)) {
        const found = whatIs(table, fd, suspects === undefined);
        if (found === 'queue') queued = true;
        if (found === 'unseen') refused = true;
        const number = found === undefined ? undefined : wanted.get(found);
        if (number === undefined || isKeepers || isNameOnly(table, fd)) continue;
        holders.push({ pid: table, fd, command: commandOf(table), cgroup, number });
      }
    }
    // An owner with a thousand such processes is known by the first of those that are not looked at any more.
    if (queued && (!isSpent || isFirst(told.queued))) inFlight.push(who());
    if (refused) unseen.push({ ...who(), why: 'refused' });
    if (budget.isOver(purse()) && isFirst(told.over)) unseen.push({ ...who(), why: 'too many' });
  }
  at(0);
  return { holders, inFlight, unseen, ringsUnseen: rings.unseen, clients: drmClients(numbers) };
}

/** So many processes are told of for each device. */
const mostTold = 100;

/**
 * A search as it is told to the agent, which must not wait for a list of a million descriptors: one of each process and device, and
 * not many of those.
 */
export function inBrief(search: Search): Search {
  const told = new Map<string, Set<number>>();
  const isTold = ({ pid, number }: Holder): boolean => {
    const pids = told.get(numberText(number)) ?? new Set();
    told.set(numberText(number), pids);
    if (pids.has(pid) || pids.size >= mostTold) return false;
    pids.add(pid);
    return true;
  };
  return { ...search, holders: search.holders.filter(isTold) };
}

function whoHasRings(): { readonly owners: ReadonlySet<number>; readonly unseen: string | undefined } {
  try {
    return { owners: ringOwners(), unseen: undefined };
  } catch (error) {
    return { owners: new Set(), unseen: (error as Error).message };
  }
}

/** Accounts of services have uids up to this one, those of people greater ones (login.defs(5), SYS_UID_MAX). */
const lastSystemUid = 999;

/** The cost of a look at a descriptor, in bytes that the kernel writes for us. */
const bytesALook = 1024;

/**
 * The real uid of a process. Where the kernel does not tell single facts, the owner pays for the reading: 450 kB and some ten
 * milliseconds, if it has very many groups.
 */
function uidOf(pid: number, budget: Budget, owner: string): number | undefined {
  const read = (path: string): string | undefined => {
    const text = readOptional(path);
    budget.spend(owner, Math.floor((text?.length ?? 0) / bytesALook));
    return text;
  };
  return factOf(
    pid,
    (facts) => facts.realUid,
    () => realUid(pid, read),
  );
}

/** Whether a process acts as root; its directory is of its effective uid (proc_pid(5)). */
const isRoots = (pid: number): boolean => statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid === 0;

function isNews(known: Set<string>, one: string): boolean {
  const news = !known.has(one);
  known.add(one);
  return news;
}

/** Counts looks, by owner. */
class Budget {
  private readonly spent = new Map<string, number>();
  private all = 0;

  constructor(private readonly limits: Limits) {}

  /** Whether there is one more look for this owner. */
  take(owner: string): boolean {
    this.spend(owner, 1);
    return !this.isOver(owner);
  }

  spend(owner: string, looks: number): void {
    this.spent.set(owner, (this.spent.get(owner) ?? 0) + looks);
    this.all += looks;
  }

  isOver(owner: string): boolean {
    return (this.spent.get(owner) ?? 0) > this.limits.ofOne || this.all > this.limits.ofAll;
  }
}

/**
 * The number of a descriptor's device; `queue` for a file that may have other files inside. The file itself says its
 * kind: its path can be too long to be read (fs/d_path.c). `asksSockets`: nobody has told yet what lies in sockets.
 */
function whatIs(pid: number, fd: number, asksSockets: boolean): string | undefined {
  const found = look(`/proc/${pid}/fd/${fd}`);
  if (found === 'gone' || found === 'unseen') return found === 'gone' ? undefined : found;
  switch (found.kind) {
    case constants.S_IFCHR:
      return found.device && numberText(found.device);
    case constants.S_IFSOCK:
      return asksSockets ? queueOn(pid, fd) : undefined;
    case constants.S_IFDIR:
    case constants.S_IFIFO:
    case constants.S_IFBLK:
    case constants.S_IFLNK:
      return undefined;
    default:
      return isRing(pid, fd) ? 'queue' : undefined;
  }
}

const processes = (): number[] =>
  readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid));

const inOrder = (...pids: readonly ReadonlySet<number>[]): number[] =>
  [...new Set(pids.flatMap((some) => [...some]))].sort((a, b) => a - b);

/** Every table of descriptors of a process: its own, and one for each thread that left it; the others share the first. */
function* tablesOf(pid: number, isLeft: () => boolean, failed: (error: unknown) => void): Iterable<number | 'shared'> {
  yield pid;
  for (const thread of numbersIn(`/proc/${pid}/task`, isLeft, failed)) {
    if (thread !== pid) yield sharesTable(pid, thread) ? 'shared' : thread;
  }
}

/** Names in a directory of procfs, one after the other, as long as there is a look left. */
function* numbersIn(path: string, isLeft: () => boolean, failed: (error: unknown) => void): Iterable<number> {
  let directory: Dir;
  try {
    directory = opendirSync(path, { bufferSize: 512 });
  } catch (error) {
    failed(error);
    return;
  }
  try {
    for (let entry = directory.readSync(); entry !== null && isLeft(); entry = directory.readSync()) {
      yield Number(entry.name);
    }
  } catch (error) {
    failed(error);
  } finally {
    directory.closeSync();
  }
}

/**
 * A request under way holds its file as well as a registration does, and is shown nowhere (io_uring/fdinfo.c). Rings have no
 * path, so that this is no path which is too long.
 */
function isRing(pid: number, fd: number): boolean {
  try {
    if (isHeld(pid)) return true;
    return readlinkSync(`/proc/${pid}/fd/${fd}`) === 'anon_inode:[io_uring]';
  } catch {
    return false;
  }
}

/** O_PATH (open(2)): nothing is read by such a descriptor, and opening again by it needs a grant. */
const isNameOnly = (pid: number, fd: number): boolean =>
  (Number.parseInt(/^flags:\s*(\d+)/m.exec(readOptional(`/proc/${pid}/fdinfo/${fd}`) ?? '')?.[1] ?? '0', 8) &
    0o10000000) !==
  0;

/** unshare(CLONE_FILES) gives a thread descriptors that the process's own /proc/pid/fd does not show (kcmp(2), KCMP_FILES). */
function sharesTable(pid: number, thread: number): boolean {
  try {
    if (isHeld(pid)) return false;
    return syscall('kcmp', `threads of ${pid}`, pid, thread, 2, 0, 0) === 0;
  } catch {
    return false;
  }
}

const commandOf = (pid: number): string => (readOptional(`/proc/${pid}/comm`) ?? '').trim();
