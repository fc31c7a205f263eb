import type { DeviceNumber } from '../core/device.js';
import { Assembler, helper } from './bpf-asm.js';
import { otherNames } from './majors.js';

export const keySize = 16;
export const valueSize = 8;

/** Values in the place of a cgroup's id that are no ids. */
export const everyone = 2n ** 64n - 1n;
export const owner = 2n ** 64n - 2n;

/** User ids of this machine, both ends included. */
export interface Uids {
  readonly first: number;
  readonly last: number;
}

/**
 * A key of the one map of grants. (0, major, minor) holds the generation of a device number; (cgroup, 0, 0) says that
 * a cgroup is guarded; (cgroup, major, minor) is a grant, in force while its value is the number's generation.
 * (`everyone`, major, minor): this number was granted once. (`owner`, first, last): a user who is not root and runs a seat
 * has these uids.
 */
export function grantKey(cgroup: bigint, { major, minor }: DeviceNumber): Buffer {
  const key = Buffer.alloc(keySize);
  key.writeBigUInt64LE(cgroup, 0);
  key.writeUInt32LE(major, 8);
  key.writeUInt32LE(minor, 12);
  return key;
}

export function parseKey(key: Buffer): { cgroup: bigint; number: DeviceNumber } {
  return { cgroup: key.readBigUInt64LE(0), number: { major: key.readUInt32LE(8), minor: key.readUInt32LE(12) } };
}

const characterDevice = 2; // BPF_DEVCG_DEV_CHAR
/** How deep below the root a container's cgroup may lie: rootless engines below a systemd user session need 6. */
export const deepest = 16;

/** r6 context, r7 major, r8 minor; goes on only for a character device of a guarded major, or of another name (`names`). */
function onlyGuarded(program: Assembler, majors: readonly number[], otherwise: string, names = false): Assembler {
  program.move(6, 1).load32(2, 6, 0).and(2, 0xffff).ifNotEqual(2, characterDevice, otherwise);
  program.load32(7, 6, 4).load32(8, 6, 8);
  for (const major of majors) program.ifEqual(7, major, 'guarded');
  if (names) ifOtherName(program, 'guarded');
  return program.jump(otherwise).label('guarded');
}

/** Goes to `to` for a number by which a device has another name; r7 major, r8 minor. */
function ifOtherName(program: Assembler, to: string): Assembler {
  for (const [index, { major, minor }] of otherNames.entries()) {
    if (minor === undefined) program.ifEqual(7, major, to);
    else program.ifNotEqual(7, major, `${to}-not-${index}`).ifEqual(8, minor, to).label(`${to}-not-${index}`);
  }
  return program;
}

/** Looks up the key at r10-16; r0 is the value's address, or 0. */
const find = (program: Assembler, map: number): Assembler =>
  program.setMap(1, map).move(2, 10).add(2, -16).call(helper.lookup);

/** Goes on only below a guarded cgroup, the topmost one if there are several; its id is in r9 then. */
function onlyInContainer(program: Assembler, map: number, otherwise: string): Assembler {
  for (let level = 1; level <= deepest; level++) {
    program.set(1, level).call(helper.currentAncestorCgroupId).ifEqual(0, 0, otherwise);
    program.move(9, 0).store64(10, -16, 9).zero64(10, -8);
    find(program, map).ifNotEqual(0, 0, 'container');
  }
  return program.jump(otherwise).label('container');
}

/** Goes on only when (r9, r7, r8) is a grant in force. */
function onlyGranted(program: Assembler, map: number, otherwise: string): Assembler {
  program.store64(10, -16, 9).store32(10, -8, 7).store32(10, -4, 8);
  find(program, map).ifEqual(0, 0, otherwise).load64(9, 0, 0);
  program.zero64(10, -16);
  find(program, map).ifEqual(0, 0, otherwise).load64(1, 0, 0);
  return program.ifSame(1, 9, 'granted').jump(otherwise).label('granted');
}

/** Goes on only for a process whose real uid is one of these (bpf_get_current_uid_gid: the lower half of r0). */
function onlyOwned(program: Assembler, owners: readonly Uids[], otherwise: string): Assembler {
  program.call(helper.currentUidGid);
  for (const [index, { first, last }] of owners.entries()) {
    const next = `after-owner-${index}`;
    program.ifBelow32(0, first, next).ifAbove32(0, last, next).jump('owned').label(next);
  }
  return program.jump(otherwise).label('owned');
}

const EPERM = 1;

/**
 * The answer that a forerunner gives for a granted device: an error, which no later program can replace by its own (kernel/bpf/cgroup.c,
 * bpf_prog_run_array_cg). EUNATCH says "protocol driver not attached": only without a guard would anybody read it.
 */
const leftToGuard = -49;

/**
 * The forerunner. It goes before the programs of an engine or of systemd, as a program of its own, and leaves it to the guard
 * whether a container opens a granted device. What a program further down has denied, inside of the container, stays denied.
 */
export function forerunnerProgram(map: number, majors: readonly number[]): Buffer {
  const program = onlyGuarded(new Assembler(), majors, 'engine');
  onlyInContainer(program, map, 'engine');
  onlyGranted(program, map, 'engine')
    .call(helper.getAnswer)
    .ifNotEqual(0, 0, 'engine')
    .set(1, leftToGuard)
    .call(helper.setAnswer);
  return program.label('engine').set(0, 1).exit().build();
}

/** Only a kernel with bpf_get_retval and bpf_set_retval loads this (5.18 and newer). */
export const answerProgram = (): Buffer =>
  new Assembler().call(helper.getAnswer).move(1, 0).call(helper.setAnswer).set(0, 1).exit().build();

/**
 * The guard, which forbids. It is attached once at the root of the hierarchy, where no container reaches: below a
 * guarded cgroup nothing of the guarded majors opens without a grant, and no device by another name. `owners` can take any
 * process of theirs out of their containers' groups. Outside of these groups they open no number that was ever granted, and
 * no other name. It stays when the agent is dead. `answers`: programs run from the container's group up to the root, so the guard has the last word on what a forerunner
 * has left to it.
 */
export function guardProgram(
  map: number,
  { majors, owners = [], answers }: { majors: readonly number[]; owners?: readonly Uids[]; answers: boolean },
): Buffer {
  const program = onlyGuarded(new Assembler(), majors, 'allow', true);
  onlyInContainer(program, map, 'outside');
  onlyGranted(program, map, 'deny');
  if (answers) program.call(helper.getAnswer).ifNotEqual(0, leftToGuard, 'allow').set(1, 0).call(helper.setAnswer);
  program.jump('allow').label('outside');
  if (owners.length > 0) {
    onlyOwned(program, owners, 'allow');
    ifOtherName(program, 'deny');
    program.set64(9, everyone).store64(10, -16, 9).store32(10, -8, 7).store32(10, -4, 8);
    find(program, map).ifEqual(0, 0, 'allow').jump('deny');
  }
  program.label('allow').set(0, 1).exit().label('deny');
  if (answers) program.set(1, -EPERM).call(helper.setAnswer);
  return program.set(0, 0).exit().build();
}

/** Last instruction of an opener's prefix, which is nowhere else in it: behind it the engine's own program begins. */
export const openerEnd: Buffer = new Assembler().move(1, 6).build();

/**
 * The opener, for kernels without a forerunner. It goes before the program that an engine has on the container's cgroup, or
 * systemd on a slice above it. It can only say yes, to a container and its granted devices. Everything else falls through to the rules behind it,
 * with the context where they expect it.
 */
export function openerPrefix(map: number, majors: readonly number[]): Buffer {
  const program = onlyGuarded(new Assembler(), majors, 'engine');
  onlyInContainer(program, map, 'engine');
  onlyGranted(program, map, 'engine').set(0, 1).exit();
  return Buffer.concat([program.label('engine').build(), openerEnd]);
}

/**
 * Withdraws grants. It runs in the kernel when a device disappears, before its minor is free for another, and raises
 * the number's generation, which voids every grant of it at once. This needs no running agent. `argument`: offset of
 * the first argument in struct pt_regs; `devt`: offset of `devt` in struct device.
 */
export function withdrawProgram(map: number, argument: number, devt: number): Buffer {
  const program = new Assembler().load64(3, 1, argument).add(3, devt).zero64(10, -24);
  program.move(1, 10).add(1, -24).set(2, 4).call(helper.probeReadKernel);
  // dev_t inside the kernel: 12 bits of major above 20 bits of minor (include/linux/kdev_t.h).
  program.load32(7, 10, -24).move(8, 7).shiftRight(7, 20).and(8, 0xfffff);
  program.zero64(10, -16).store32(10, -8, 7).store32(10, -4, 8);
  find(program, map).ifEqual(0, 0, 'done').set(1, 1).atomicAdd64(0, 0, 1);
  return program.label('done').set(0, 0).exit().build();
}
