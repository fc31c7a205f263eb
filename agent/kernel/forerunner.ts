import { closeSync } from 'node:fs';
import * as bpf from './bpf.js';
import type { DeviceMap } from './device-map.js';
import { forerunnerProgram } from './grant-program.js';
import { checkDepth, isOpener, openerFor, plain } from './opener.js';
import { ours, type Program, type ProgramsOn, withProgramsOn } from './programs-on.js';

const name = ours.forerunner;
const copyName = ours.copy;

export const isForerunner = (program: Program): boolean => program.name === name;

/** Ids of forerunners that are the same as this version would attach, by the map's list of majors. */
const good = new WeakMap<readonly number[], Set<number>>();

/**
 * Has a forerunner be the first of the device programs of a cgroup. Programs that an engine or systemd attaches later run after it,
 * so that they take nothing away, not for a moment. Their own programs stay the ones that they know, and can be replaced by them.
 * Idempotent. Returns whether anything was changed.
 */
export function ensureForerunner(map: DeviceMap, cgroup: string): boolean {
  checkDepth(map, cgroup);
  const known = good.get(map.majors) ?? new Set<number>();
  good.set(map.majors, known);
  return withProgramsOn(cgroup, (on) => {
    const [first] = on.programs;
    if (first !== undefined && known.has(first.id)) return false;
    const own = bpf.load(bpf.programType.cgroupDevice, name, forerunnerProgram(map.fd, map.majors));
    try {
      const { id, tag } = bpf.programInfo(own);
      // The tag is a hash of all instructions but for the map's descriptor.
      const isSame = first?.name === name && first.tag === tag && first.mapIds.includes(bpf.mapId(map.fd));
      if (!isSame) {
        if (first === undefined || first.name === name) bpf.attach(on.directory, own, first?.fd);
        else if (isOpener(first)) goBefore(map, cgroup, on, { own, opener: first });
        else goFirst(cgroup, on, own, first);
      }
      known.add(isSame ? first.id : id);
      const surplus = [...on.programs.slice(1).filter(isForerunner), ...leftCopies(on.programs)];
      for (const { fd } of surplus) bpf.detach(on.directory, fd);
      return !isSame;
    } finally {
      closeSync(own);
    }
  });
}

/** Takes the forerunner off a cgroup; the programs of others stay as they are. Returns whether it had one. */
export const removeForerunner = (cgroup: string): boolean =>
  withProgramsOn(cgroup, (on) => {
    const own = on.programs.filter(isForerunner);
    for (const { fd } of [...own, ...leftCopies(on.programs)]) bpf.detach(on.directory, fd);
    return own.length > 0;
  });

/** A program is attached behind all others, or in the place of another one: the first one has to make room, and comes back behind. */
function goFirst(cgroup: string, { directory }: ProgramsOn, own: number, first: Program): void {
  const copy = bpf.load(bpf.programType.cgroupDevice, copyName, plain(cgroup, first));
  try {
    bpf.attach(directory, copy);
    try {
      bpf.attach(directory, own, first.fd);
    } catch (error) {
      // Others have replaced it meanwhile: the next look sees what there is.
      bpf.detach(directory, copy);
      throw error;
    }
    bpf.attach(directory, first.fd);
    bpf.detach(directory, copy);
  } finally {
    closeSync(copy);
  }
}

/**
 * The same before an opener, which stays open behind it meanwhile: the opener of a former version is made once more, for our map.
 * `removeOpeners` gives the engine its own program back then.
 */
function goBefore(
  map: DeviceMap,
  cgroup: string,
  { directory }: ProgramsOn,
  { own, opener }: { readonly own: number; readonly opener: Program },
): void {
  const renewed = openerFor(map, cgroup, opener);
  try {
    bpf.attach(directory, renewed);
    try {
      bpf.attach(directory, own, opener.fd);
    } catch (error) {
      bpf.detach(directory, renewed);
      throw error;
    }
  } finally {
    closeSync(renewed);
  }
}

/** Copies that an agent left behind when it ended in the middle of this. One whose original is missing keeps its rules in force. */
const leftCopies = (programs: readonly Program[]): Program[] =>
  programs.filter(
    (one) => one.name === copyName && programs.some(({ name: other, tag }) => other !== copyName && tag === one.tag),
  );
