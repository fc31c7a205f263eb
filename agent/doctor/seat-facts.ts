import { classesOf } from '../core/classes.js';
import { isSameContainer, type SeatPolicy } from '../core/policy.js';
import { Engines } from '../engines/all.js';
import type { Container } from '../engines/engine.js';
import { pidsBelow, sharesCgroups, sharesNetwork } from '../engines/process.js';
import { cgroupRoot } from '../kernel/cgroup.js';
import { Helpers } from '../kernel/helpers.js';
import { Namespaces } from '../kernel/namespaces.js';
import { readOptional } from '../kernel/read.js';
import { Reclaim } from '../kernel/reclaim.js';
import { deafMonitors } from '../seat/deaf.js';
import { missingGrafts } from '../seat/graft.js';
import { graftsOf, seatRoot } from '../seat/layout.js';
import { placedSeat } from '../shares/placed.js';
import type { ContainerFacts, SeatFacts } from './facts.js';
import { killedFacts } from './killed-facts.js';
import { lxcConfig } from './lxc-config.js';
import { cardsOf, holdersOf, openedCards } from './screen-facts.js';
import { soundFacts } from './sound-facts.js';
import { xorgFacts } from './xorg-facts.js';

/** Capabilities with which a program of any id can be had, by bit (linux/capability.h): CAP_SYS_ADMIN. */
const sysAdmin = 1n << 21n;

/** The state of each seat's container, seen from outside; nothing in it is changed. Needs root. */
export async function seatFacts(seats: readonly SeatPolicy[]): Promise<SeatFacts[]> {
  const helpers = new Helpers();
  const namespaces = new Namespaces(helpers);
  let engines: Engines | undefined;
  try {
    const found = new Engines(cgroupRoot(), { commandLine: (monitor) => namespaces.commandLine(monitor) });
    engines = found;
    const running = await found.listAll();
    const cards = new Map(seats.map(({ seat }) => [seat, cardsOf(seatRoot(seat))]));
    const holders = await holdersOf(new Reclaim(helpers), [...cards.values()].flat());
    const facts: SeatFacts[] = [];
    for (const policy of seats) {
      const { container, seat } = policy;
      const its = running.find((other) => isSameContainer(other, container));
      facts.push({
        ...{ seat, container, asksForDisk: policy.resources?.io !== undefined },
        boundsMemory: policy.resources?.memory !== undefined,
        placed: its && placedSeat(cgroupRoot(), seat, container, its),
        killed: its && (await killedFacts(its, cgroupRoot())),
        found:
          its === undefined
            ? { absent: found.absence(container) }
            : {
                ...(await containerFacts(policy, its, namespaces)),
                cards: openedCards(cards.get(seat) ?? [], holders, its),
              },
      });
    }
    return facts;
  } catch (error) {
    const absent = `its container cannot be looked for: ${(error as Error).message}`;
    return seats.map(({ seat, container }) => ({ seat, container, found: { absent } }));
  } finally {
    engines?.close();
    namespaces.close();
  }
}

async function containerFacts(
  policy: SeatPolicy,
  container: Container,
  namespaces: Namespaces,
): Promise<Omit<ContainerFacts, 'cards'>> {
  const { pid, cgroup, uid, engine, name, user } = container;
  const seatPath = seatRoot(policy.seat);
  const missing = await missingGrafts(namespaces, container, seatPath, graftsOf(classesOf(policy)));
  const asked = engine === 'lxc' && user === undefined ? await lxcConfig(name, seatPath) : undefined;
  return {
    sharesNetwork: sharesNetwork(pid),
    init: commandOf(pid),
    ungrafted: missing.map(({ target }) => `/${target}`),
    configured: asked?.mountsSeat,
    ownUdevd: pidsBelow(cgroup).some((inside) => commandOf(inside) === 'systemd-udevd'),
    deaf: deafMonitors(pid, cgroup),
    mayEditMaps: uid === 0 && hasSysAdmin(pid) && asked?.deniesBpf !== true,
    mayLeaveCgroup: uid === 0 && hasSysAdmin(pid) && sharesCgroups(pid),
    xorg: await xorgFacts(namespaces, container),
    sound: soundFacts(container, { proc: '/proc', seatPath }),
  };
}

const commandOf = (pid: number): string => (readOptional(`/proc/${pid}/comm`) ?? '').trim();

/** Whether a process, or a program that it starts, can have the capability (proc_pid_status(5), CapBnd). */
function hasSysAdmin(pid: number): boolean {
  const set = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readOptional(`/proc/${pid}/status`) ?? '')?.[1];
  return set !== undefined && (BigInt(`0x${set}`) & sysAdmin) !== 0n;
}
