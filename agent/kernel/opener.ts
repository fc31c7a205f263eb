import { closeSync } from 'node:fs';
import * as bpf from './bpf.js';
import { cgroupId } from './cgroup.js';
import type { DeviceMap } from './device-map.js';
import { openAt } from './fs.js';
import { openerPrefix } from './grant-program.js';

const name = 'hotseat_opener';
const pseudoCall = { opcode: 0x85, source: 1 }; // BPF_CALL with BPF_PSEUDO_CALL

/** The engine's device program cannot be prefixed: it uses maps or functions of its own. */
export class OpenerError extends Error {
  override name = 'OpenerError';
}

/**
 * Opens the door that an engine's own device program keeps shut, for what is granted, and for nothing else: the program
 * on the container's cgroup is replaced by our prefix with its own instructions behind it. Idempotent, and what repairs
 * it when an engine has attached its own again. Returns whether anything was changed; no program means no shut door.
 */
export function ensureOpener(map: DeviceMap, cgroup: string): boolean {
  const directory = openAt(undefined, cgroup);
  try {
    const programs = bpf.attached(directory).ids.map((id) => {
      const fd = bpf.programById(id);
      return { fd, ...bpf.programInfo(fd) };
    });
    try {
      const shut = programs.filter((program) => program.name !== name);
      for (const program of shut) prefix(map, cgroup, directory, program);
      return shut.length > 0;
    } finally {
      for (const { fd } of programs) closeSync(fd);
    }
  } finally {
    closeSync(directory);
  }
}

function prefix(map: DeviceMap, cgroup: string, directory: number, engine: bpf.ProgramInfo & { fd: number }): void {
  if (engine.mapIds.length > 0 || hasCalls(engine.instructions)) {
    throw new OpenerError(
      `the device program "${engine.name}" on ${cgroup} uses maps or functions: it cannot be opened`,
    );
  }
  const own = openerPrefix(map.fd, cgroupId(cgroup), map.majors);
  const program = bpf.load(bpf.programType.cgroupDevice, name, Buffer.concat([own, engine.instructions]));
  try {
    bpf.attach(directory, program, engine.fd);
  } finally {
    closeSync(program);
  }
}

function hasCalls(instructions: Buffer): boolean {
  for (let at = 0; at < instructions.length; at += 8) {
    const source = (instructions[at + 1] ?? 0) >> 4;
    if (instructions[at] === pseudoCall.opcode && source === pseudoCall.source) return true;
  }
  return false;
}
