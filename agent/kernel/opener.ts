import { closeSync } from 'node:fs';
import { relative } from 'node:path';
import * as bpf from './bpf.js';
import type { DeviceMap } from './device-map.js';
import { openAt } from './fs.js';
import { deepest, openerEnd, openerPrefix } from './grant-program.js';
import { ours, type Program, withProgramsOn } from './programs-on.js';

const name = ours.opener;
const call = 0x85; // BPF_CALL

/** The engine's device program cannot be prefixed: it uses maps or functions of its own, or the cgroup lies too deep. */
export class OpenerError extends Error {
  override name = 'OpenerError';
}

/** Ids of openers that are the same as this version would attach, by the map's list of majors. */
const good = new WeakMap<readonly number[], Set<number>>();

/**
 * Opens the door that an engine's own device program keeps shut, for granted devices and for nothing else: the program
 * on a cgroup is replaced by our prefix with its own instructions behind it. Idempotent. It also repairs the group when
 * an engine has attached its own program again, when the opener looks into a map of the past, or when another version
 * of the agent made it. Returns whether anything was changed; no program means no shut door.
 */
export function ensureOpener(map: DeviceMap, cgroup: string): boolean {
  checkDepth(map, cgroup);
  const known = good.get(map.majors) ?? new Set<number>();
  good.set(map.majors, known);
  const directory = openAt(undefined, cgroup);
  try {
    const { ids, multi, flags } = bpf.attached(directory);
    const replace = (program: number, former: number): void => {
      if (multi) bpf.attach(directory, program, former);
      else bpf.attachAlone(directory, program, flags);
    };
    let changed = false;
    for (const id of ids) {
      if (known.has(id)) continue;
      const fd = bpf.programById(id);
      try {
        const former = { fd, ...bpf.programInfo(fd) };
        // It goes when this is done, and until then the container gets no further by it than the guard lets it.
        if (former.name === ours.forerunner) continue;
        if (ensurePrefix(map, cgroup, former, replace)) changed = true;
        else known.add(id);
      } finally {
        closeSync(fd);
      }
    }
    return changed;
  } finally {
    closeSync(directory);
  }
}

/**
 * Gives a cgroup's engine its own programs back, without our prefix; rules that are there already are not put there twice. Returns
 * how many it had.
 */
export const removeOpeners = (cgroup: string): number =>
  withProgramsOn(cgroup, ({ directory, programs, multi, flags }) => {
    const openers = programs.filter(isOpener);
    const there = new Set(programs.filter((one) => !isOpener(one)).map(({ tag }) => tag));
    for (const former of openers) {
      const program = bpf.load(bpf.programType.cgroupDevice, 'engine', behindPrefix(cgroup, former));
      try {
        const { tag } = bpf.programInfo(program);
        if (!multi) bpf.attachAlone(directory, program, flags);
        else if (there.has(tag)) bpf.detach(directory, former.fd);
        else bpf.attach(directory, program, former.fd);
        there.add(tag);
      } finally {
        closeSync(program);
      }
    }
    return openers.length;
  });

export const isOpener = (program: Program): boolean => program.name === name;

/** Deeper than the guard looks, a cgroup could be told to be guarded and would not be. */
export function checkDepth(map: DeviceMap, cgroup: string): void {
  const depth = relative(map.root, cgroup).split('/').length;
  if (depth > deepest) throw new OpenerError(`${cgroup} lies ${depth} levels deep, and the guard sees ${deepest}`);
}

function ensurePrefix(
  map: DeviceMap,
  cgroup: string,
  former: Program,
  replace: (program: number, former: number) => void,
): boolean {
  const program = openerFor(map, cgroup, former);
  try {
    // The tag is a hash of all instructions but for the map's descriptor; together with the map it says "the same".
    const same = former.mapIds.includes(bpf.mapId(map.fd)) && former.tag === bpf.programInfo(program).tag;
    if (!same) replace(program, former.fd);
    return !same;
  } finally {
    closeSync(program);
  }
}

/** Loads our prefix with the engine's rules behind it, of a program of the engine's or of an opener. The caller closes it. */
export function openerFor(map: DeviceMap, cgroup: string, former: Program): number {
  const engine = isOpener(former) ? behindPrefix(cgroup, former) : plain(cgroup, former);
  return bpf.load(bpf.programType.cgroupDevice, name, Buffer.concat([openerPrefix(map.fd, map.majors), engine]));
}

/** The engine's instructions, if they can be loaded again: a call is dumped as an address, a map as an id. */
export function plain(cgroup: string, program: Program): Buffer {
  if (program.mapIds.length > 0 || hasCalls(program.instructions)) {
    throw new OpenerError(
      `the device program "${program.name}" on ${cgroup} uses maps or functions: it cannot be opened`,
    );
  }
  return program.instructions;
}

/**
 * The instructions behind a prefix of ours. The prefix comes back changed (its lookups inlined), the engine's part as
 * it went in.
 */
function behindPrefix(cgroup: string, program: Program): Buffer {
  for (let at = 0; at < program.instructions.length; at += 8) {
    if (!program.instructions.subarray(at, at + 8).equals(openerEnd)) continue;
    const engine = program.instructions.subarray(at + 8);
    if (!hasCalls(engine)) return engine;
  }
  throw new OpenerError(`the device program "${name}" on ${cgroup} is not one of ours`);
}

function hasCalls(instructions: Buffer): boolean {
  for (let at = 0; at < instructions.length; at += 8) if (instructions[at] === call) return true;
  return false;
}
