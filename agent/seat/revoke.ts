import { numberText } from '../core/device.js';
import { nodePath } from '../core/state.js';
import type { NodeRef } from '../core/step.js';
import { isWithin } from '../kernel/cgroup.js';
import type { Uids } from '../kernel/grant-program.js';
import { type Holder, hasty, type InFlight, patient, type Search, type Unseen } from '../kernel/holders.js';
import type { Revocable } from '../kernel/pidfd.js';
import type { Loss, Reclaim, Reclaimed } from '../kernel/reclaim.js';
import { soon } from '../kernel/soon.js';
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
  /**
   * Somebody keeps the kernel from taking it back. Its driver must not be bound again then: the kernel would wait for the same, and
   * let nothing else happen at that bus meanwhile.
   */
  readonly isHeldUp: boolean;
}

/** In words, why others may have a device. */
export type Doubts = Pick<Revocation, 'left' | 'suspected' | 'handed'>;

/** So often a container stands still for one loss: once more for each owner whose processes hold up a search. */
const mostRounds = 4;

/** Longest that a container stands still while something is taken back from it, ms. */
const longestStill = 20_000;

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
 * ioctl. `left` names processes that hold another node, or may have descriptors in flight on a socket, also
 * on one that nobody has accepted yet, or in an io_uring. It also names a container that cannot be frozen.
 * `handed` names processes of others that may have it so.
 */
export async function revoke(nodes: readonly NodeRef[], loser: Loser, reclaim: Reclaim): Promise<Revocation> {
  const { cgroup, mark, keepers } = loser;
  const isPatient = loser.patient === true;
  const loss: Loss = {
    nodes: nodes.map((node) => ({ number: node.number, by: revocationOf(node) })),
    ...{ limits: isPatient ? patient : hasty, cgroup, keepers },
  };
  if (cgroup === undefined || isPatient) return orHeldUp(await judged(await reclaim.takeBack(loss)));
  // Nobody stands still for what has to wait.
  if (reclaim.isAtWork(cgroup))
    throw new Error('what was to be taken back before is not done yet: the next try follows');
  await reclaim.prepare(cgroup);
  for (let round = 1; round <= mostRounds; round++) {
    const done = await whileItStands(cgroup, mark, async () => {
      const taken = await reclaim.takeBackSoon(loss, round > 1);
      return taken === 'late' ? taken : judged(taken);
    });
    if (done !== 'late') return orHeldUp(done);
    // Whose process it is takes longer to find out: the container goes on meanwhile.
    if (round === 1) await reclaim.search(loss);
  }
  throw new Error('looks at processes of several owners take too long: the next try follows');

  async function judged(taken: Reclaimed | undefined): Promise<Revocation | undefined> {
    if (taken === undefined) return undefined;
    const held = stillHeld(nodes, taken);
    const done = revocation(held, taken, loser);
    if (held.length > 0 || keepers.length > 0) return done;
    // Nobody else has the card, so a process with an open stream of it has kept it by a mapping.
    const streams = await reclaim.openStreams(nodes.map((node) => node.name));
    if (streams === undefined)
      return {
        ...done,
        left: ['it cannot be seen whether somebody has the sound card mapped', ...done.left],
        isHeldUp: true,
      };
    return { ...done, left: [...streams.map((name) => `somebody has ${name} mapped`), ...done.left] };
  }

  async function orHeldUp(done: Revocation | undefined): Promise<Revocation> {
    return done ?? heldUp(nodes, await reclaim.search(loss));
  }
}

/** Throws when it takes longer than a container may stand still. It goes on by itself then, and the next try waits for it. */
function whileItStands<T extends string | undefined>(
  cgroup: string,
  mark: string,
  takeBack: () => Promise<Revocation | T>,
): Promise<Revocation | T> {
  return whileStill(cgroup, mark, async (still) => {
    const end = await soon(
      takeBack().then((done) => ({ done })),
      longestStill,
    );
    if (end === undefined) throw new Error(`to take it back takes over ${longestStill / 1000} s, and goes on`);
    const { done } = end;
    if (still || typeof done !== 'object') return done;
    return { ...done, left: [...done.left, 'the container cannot be frozen'] };
  });
}

/** In words, who has a node open that could not be taken back. */
const stillHeld = (nodes: readonly NodeRef[], { search, left }: Reclaimed): string[] => [
  ...left,
  ...nodes.flatMap((node) =>
    revocationOf(node) === undefined
      ? holdersOf(node, search).map((holder) => `${holder} holds ${nodePath(node)}`)
      : [],
  ),
];

function revocation(held: readonly string[], { revoked, search }: Reclaimed, loser: Loser): Revocation {
  const { left: maybe, suspected, handed } = doubts(search, loser);
  return { revoked, left: [...held, ...maybe], suspected, handed, isHeldUp: false };
}

/** Nothing is known but who has the nodes open. */
function heldUp(nodes: readonly NodeRef[], search: Search): Revocation {
  const left = nodes.map((node) => {
    const who = holdersOf(node, search).slice(0, mostNamed).join(', ');
    return `the kernel does not get to take ${nodePath(node)} back, kept busy by somebody who has it open: ${who}`;
  });
  return { revoked: 0, left, suspected: [], handed: [], isHeldUp: true };
}

const holdersOf = (node: NodeRef, { holders }: Search): string[] =>
  holders.filter(({ number }) => numberText(number) === numberText(node.number)).map(named);

const named = ({ command, pid }: Pick<Holder, 'command' | 'pid'>): string => `${command} (pid ${pid})`;

/** Of those who may have been handed a device, so many are named. */
const mostNamed = 3;

/**
 * In words, why other processes than the ones found may have a device open. The losing seat can have hidden it anywhere
 * in its container or, rootless, in any process of its user. Another process with more open files than are looked at
 * is only suspected at first, and all is looked at. Then it counts when it is the PC's own root's: no container and no ordinary
 * user can hold up a seat by that.
 * The losing seat can also have sent it to anybody whom a socket of its container reaches, and the kernel does not tell
 * which file is in flight. So every process with something in flight counts, except those of seats that keep the device
 * and of the PC itself. Where the kernel lists everybody who has a card open, no doubt is left: that list is the answer,
 * unless other seats keep the card.
 */
export function doubts(search: Search, loser: Pick<Loser, 'cgroup' | 'users' | 'keepers' | 'patient'>): Doubts {
  const clients = clientsOf(search, loser);
  if (clients === undefined) return suspicions(search, loser);
  return { left: clients.map((client) => `the kernel says that ${client} has it open`), suspected: [], handed: [] };
}

/** Everybody who has a card open, where the kernel lists them and no seat keeps the card: nothing else is to be asked then. */
export const clientsOf = ({ clients }: Search, { keepers }: Pick<Loser, 'keepers'>): Search['clients'] =>
  keepers.length === 0 ? clients : undefined;

function suspicions(
  { inFlight, unseen, ringsUnseen }: Search,
  { cgroup, users, keepers, patient: isPatient = false }: Pick<Loser, 'cgroup' | 'users' | 'keepers' | 'patient'>,
): Doubts {
  const isTheirs = ({ cgroup: at, uid = -1 }: InFlight): boolean =>
    (cgroup !== undefined && isWithin(at, cgroup)) || users.some(({ first, last }) => uid >= first && uid <= last);
  const tooMany = unseen.filter(({ why }) => why === 'too many');
  const isRoots = ({ uid, isHosts }: InFlight): boolean => uid === undefined || (uid === 0 && isHosts);
  const isSuspected = (one: InFlight): boolean => !isTheirs(one) && !(isPatient && isRoots(one));
  // The next process has done nothing: all is looked at then.
  const late = unseen.filter(({ why }) => why === 'late');
  const isHanded = (one: InFlight): boolean =>
    !isTheirs(one) && !one.isHosts && !keepers.some((keeper) => isWithin(one.cgroup, keeper));
  const isOnesLoss = cgroup !== undefined || users.length > 0;
  const told = (one: Unseen): string => `${named(one)} ${unseenWhy[one.why]}`;
  return {
    left: [
      ...inFlight
        .filter(isTheirs)
        .map((one) => `${named(one)} may have descriptors in flight, on a socket or in a ring`),
      ...unseen.filter((one) => isCertain(one) && isTheirs(one)).map((one) => `${named(one)} ${unseenWhy[one.why]}`),
      ...(ringsUnseen === undefined || !isOnesLoss
        ? []
        : [`it cannot be told which processes have an io_uring: ${ringsUnseen}`]),
      ...tooMany
        .filter((one) => !isSuspected(one))
        .slice(0, 1)
        .map(told),
    ],
    suspected: [...tooMany.filter(isSuspected), ...late].slice(0, 1).map(told),
    handed: [
      ...inFlight
        .filter(isHanded)
        .map((one) => `${named(one)} may have been handed it, in flight on a socket or in a ring`),
      ...unseen
        .filter((one) => isCertain(one) && isHanded(one))
        .map((one) => `${named(one)} may have been handed it, and ${unseenWhy[one.why]}`),
    ].slice(0, isOnesLoss ? mostNamed : 0),
  };
}

/** Whether no other search would see more of it. */
const isCertain = ({ why }: Unseen): boolean => why === 'refused' || why === 'endless';

const unseenWhy: Readonly<Record<Unseen['why'], string>> = {
  late: 'was not looked at in time',
  'too many': 'is of somebody with too many descriptors to look at',
  refused: 'has a file open that the kernel does not show us',
  endless: 'is of somebody at whose processes a look does not end',
};

function revocationOf({ class: kind, name }: NodeRef): Revocable | undefined {
  if (kind === 'hidraw') return 'HIDIOCREVOKE';
  return kind === 'input' && name.startsWith('event') ? 'EVIOCREVOKE' : undefined;
}
