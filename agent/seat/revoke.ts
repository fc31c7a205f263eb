import { closeSync } from 'node:fs';
import type { NodeRef } from '../core/step.js';
import { isWithin } from '../kernel/cgroup.js';
import type { Uids } from '../kernel/grant-program.js';
import { isHeld } from '../kernel/held.js';
import { findHolders, type Holder, hasty, type InFlight, patient, type Search } from '../kernel/holders.js';
import { openStreams } from '../kernel/pcm.js';
import { pidfdGetDevice, pidfdOpen, revokeFile } from '../kernel/pidfd.js';
import { whileStill } from './standstill.js';

/** The result of a revocation: how many descriptors were taken back, and why some may be left. */
export interface Revocation {
  readonly revoked: number;
  /** Empty when no process can read the device any more. */
  readonly left: readonly string[];
  /** Ordinary users without any relation to the losing seat: they have more open files than were looked at. */
  readonly suspected: readonly string[];
  /** Of others than the container that loses it: they may have been handed it, and it is in nobody's table of descriptors. */
  readonly handed: readonly string[];
}

/** From whom something is taken. */
export interface Loser {
  /** Of the container that loses it; undefined when there is none. */
  readonly cgroup: string | undefined;
  /** Uids of the user whose engine runs it: he can hand things on to any process of his. None when that is root. */
  readonly users: readonly Uids[];
  /** Of other containers that keep the device: nothing of theirs is taken. */
  readonly keepers: readonly string[];
  /** As in `whileStill`. */
  readonly mark: string;
  /** Looks at everything that anybody has, and stops nobody meanwhile: after a search that was stopped too early. */
  readonly patient?: boolean;
}

/**
 * Takes back every open descriptor of the given nodes, in the container and on the host alike. The container is frozen
 * meanwhile, so that nothing can be opened, duplicated or passed on between scan and revocation. Only evdev
 * (EVIOCREVOKE, drivers/input/evdev.c) and hidraw (HIDIOCREVOKE, drivers/hid/hidraw.c, 6.12 and newer) have a revoke
 * ioctl. `left` names processes that hold another node, or may have descriptors in flight on a socket (`scm_fds` in
 * fdinfo) or in an io_uring. It also names a container that cannot be frozen.
 * `handed` names processes of others that may have it so.
 */
export async function revoke(nodes: readonly NodeRef[], loser: Loser): Promise<Revocation> {
  const { cgroup, mark } = loser;
  if (cgroup === undefined || loser.patient === true) return takeAllBack(nodes, loser);
  return whileStill(cgroup, mark, async (still) => {
    const taken = await takeAllBack(nodes, loser);
    return still ? taken : { ...taken, left: [...taken.left, 'the container cannot be frozen'] };
  });
}

async function takeAllBack(nodes: readonly NodeRef[], loser: Loser): Promise<Revocation> {
  const { keepers } = loser;
  const left: string[] = [];
  let revoked = 0;
  const numbers = nodes.map((node) => node.number);
  const search = await findHolders(numbers, loser.patient === true ? patient : hasty);
  for (const holder of withoutKeepers(search.holders, keepers)) {
    const node = nodes.find(
      ({ number }) => number.major === holder.number.major && number.minor === holder.number.minor,
    );
    if (node === undefined) continue;
    const by = revocationOf(node);
    if (by !== undefined) revoked += takeBack(holder, by, left);
    else left.push(`${holder.command} (pid ${holder.pid}) holds ${node.class}/${node.name}`);
  }
  // Nobody else has the card, so a process with an open stream of it has kept it by a mapping.
  if (left.length === 0 && keepers.length === 0) {
    for (const name of openStreams(nodes.map((node) => node.name))) left.push(`somebody has ${name} mapped`);
  }
  const { left: others, suspected, handed } = doubts(search, loser);
  return { revoked, left: [...left, ...others], suspected, handed };
}

/** Processes in none of these cgroups. */
export const withoutKeepers = (holders: readonly Holder[], keepers: readonly string[]): Holder[] =>
  holders.filter(({ cgroup }) => !keepers.some((keeper) => isWithin(cgroup, keeper)));

/** Of those who may have been handed a device, so many are named. */
const mostNamed = 3;

/**
 * In words, why other processes than the ones found may have a device open. The losing seat can have hidden it anywhere
 * in its container or, rootless, in any process of its user. Another process with more open files than are looked at
 * counts when it is root's. When it is not, it is only suspected: no ordinary user of the PC can hold up a seat by
 * that.
 * The losing seat can also have sent it to anybody whom a socket of its container reaches, and the kernel does not tell
 * which file is in flight. So every process with something in flight counts, except those of seats that keep the device
 * and of the PC itself. Where the kernel lists everybody who has a card open, no doubt is left: that list is the answer,
 * unless other seats keep the card.
 */
export function doubts(
  search: Search,
  loser: Pick<Loser, 'cgroup' | 'users' | 'keepers'>,
): Omit<Revocation, 'revoked'> {
  const clients = clientsOf(search, loser);
  if (clients === undefined) return suspicions(search, loser);
  return { left: clients.map((client) => `the kernel says that ${client} has it open`), suspected: [], handed: [] };
}

/** Everybody who has a card open, where the kernel lists them and no seat keeps the card: nothing else is to be asked then. */
export const clientsOf = ({ clients }: Search, { keepers }: Pick<Loser, 'keepers'>): Search['clients'] =>
  keepers.length === 0 ? clients : undefined;

function suspicions(
  { inFlight, unseen, ringsUnseen }: Search,
  { cgroup, users, keepers }: Pick<Loser, 'cgroup' | 'users' | 'keepers'>,
): Omit<Revocation, 'revoked'> {
  const isTheirs = ({ cgroup: at, uid = -1 }: InFlight): boolean =>
    (cgroup !== undefined && isWithin(at, cgroup)) || users.some(({ first, last }) => uid >= first && uid <= last);
  const named = ({ command, pid }: InFlight): string => `${command} (pid ${pid})`;
  const tooMany = unseen.filter(({ why }) => why === 'too many');
  const isSuspected = (one: InFlight): boolean => !isTheirs(one) && one.uid !== undefined && one.uid !== 0;
  const isHanded = (one: InFlight): boolean =>
    !isTheirs(one) && !one.isHosts && !keepers.some((keeper) => isWithin(one.cgroup, keeper));
  const isOnesLoss = cgroup !== undefined || users.length > 0;
  const many = (one: InFlight): string => `${named(one)} is of somebody with too many descriptors to look at`;
  return {
    left: [
      ...inFlight
        .filter(isTheirs)
        .map((one) => `${named(one)} may have descriptors in flight, on a socket or in a ring`),
      ...unseen
        .filter((one) => one.why === 'refused' && isTheirs(one))
        .map((one) => `${named(one)} has a file open that the kernel does not show us`),
      ...(ringsUnseen === undefined || !isOnesLoss
        ? []
        : [`it cannot be told which processes have an io_uring: ${ringsUnseen}`]),
      ...tooMany
        .filter((one) => !isSuspected(one))
        .slice(0, 1)
        .map(many),
    ],
    suspected: tooMany.filter(isSuspected).slice(0, 1).map(many),
    handed: [
      ...inFlight
        .filter(isHanded)
        .map((one) => `${named(one)} may have been handed it, in flight on a socket or in a ring`),
      ...unseen
        .filter((one) => one.why === 'refused' && isHanded(one))
        .map((one) => `${named(one)} may have been handed it, and has a file open that the kernel does not show us`),
    ].slice(0, isOnesLoss ? mostNamed : 0),
  };
}

function revocationOf({ class: kind, name }: NodeRef): 'EVIOCREVOKE' | 'HIDIOCREVOKE' | undefined {
  if (kind === 'hidraw') return 'HIDIOCREVOKE';
  return kind === 'input' && name.startsWith('event') ? 'EVIOCREVOKE' : undefined;
}

function takeBack(holder: Holder, by: 'EVIOCREVOKE' | 'HIDIOCREVOKE', left: string[]): number {
  let pidfd: number | undefined;
  let copy: number | undefined;
  try {
    if (isHeld(holder.pid)) throw new Error('it is in the middle of execve');
    pidfd = pidfdOpen(holder.pid);
    copy = pidfdGetDevice(pidfd, holder.fd, holder.number);
    revokeFile(copy, by);
    return 1;
  } catch (error) {
    left.push(`${holder.command} (pid ${holder.pid}): ${(error as Error).message}`);
    return 0;
  } finally {
    if (copy !== undefined) closeSync(copy);
    if (pidfd !== undefined) closeSync(pidfd);
  }
}
