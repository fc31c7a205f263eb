import { availableParallelism } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { cgroupRoot } from '../kernel/cgroup.js';
import { readGroup } from '../kernel/group-files.js';
import type { PlacedSeat } from '../shares/compare.js';
import { pressureNames, pressureOf } from '../shares/pressure.js';
import type { LoadFacts, SeatLoad } from './facts.js';

/** How long the seats are looked at, ms. */
const span = 1000;

/** Present use and waiting of each seat; seats that share a group are one. */
export async function loadFacts(placed: readonly PlacedSeat[]): Promise<LoadFacts | undefined> {
  if (placed.length === 0) return undefined;
  const root = cgroupRoot();
  const groups = [...new Set(placed.map(({ place }) => place.group))];
  const used = (): Map<string, number> =>
    new Map(['', ...groups].flatMap((group) => cpuOf(root, group) ?? []).map(([group, micros]) => [group, micros]));
  const [before, began] = [used(), performance.now()];
  await pause(span);
  const [after, micros] = [used(), (performance.now() - began) * 1000];
  const processors = (group: string): number =>
    Math.max(0, ((after.get(group) ?? 0) - (before.get(group) ?? 0)) / micros);
  const seats = groups.flatMap((group): SeatLoad[] => {
    const names = placed.filter(({ place }) => place.group === group).map(({ seat }) => seat);
    const waits = waitsOf(root, group);
    return waits === undefined ? [] : [{ seats: names, processors: processors(group), ...waits }];
  });
  const rest = processors('') - seats.reduce((sum, one) => sum + one.processors, 0);
  return { processors: availableParallelism(), rest: Math.max(0, rest), seats };
}

/** The time that a group has had of the processors, µs (cgroup-v2.rst, cpu.stat); of the whole PC at the root. */
function cpuOf(root: string, group: string): readonly (readonly [string, number])[] | undefined {
  const text = readGroup(root, group, ['cpu.stat'])?.texts.get('cpu.stat');
  const micros = /^usage_usec (\d+)$/m.exec(text ?? '')?.[1];
  return micros === undefined ? undefined : [[group, Number(micros)]];
}

function waitsOf(root: string, group: string): Pick<SeatLoad, 'waits' | 'processes' | 'mostProcesses'> | undefined {
  const files = pressureNames.map((name) => `${name}.pressure`);
  const texts = readGroup(root, group, [...files, 'pids.current', 'pids.max'])?.texts;
  if (texts === undefined) return undefined;
  const number = (name: string): number | undefined => {
    const text = texts.get(name)?.trim();
    return text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
  };
  const waits = pressureNames.flatMap((name) => {
    const some = pressureOf(texts.get(`${name}.pressure`))?.some;
    return some === undefined ? [] : [[name, some] as const];
  });
  return {
    waits: Object.fromEntries(waits),
    processes: number('pids.current'),
    mostProcesses: number('pids.max'),
  };
}
