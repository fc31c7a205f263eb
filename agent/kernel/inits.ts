// Which running processes are pid 1 of a pid namespace below ours, told by a BPF iterator over all threads: wherever they have gone in the
// tree of groups, and without a look into procfs.

import { closeSync } from 'node:fs';
import * as bpf from './bpf.js';
import { Assembler, helper } from './bpf-asm.js';
import { readAtMost } from './read.js';
import { vmlinux } from './vmlinux.js';

/** Such a process. */
export interface Init {
  readonly pid: number;
  /** How many pid namespaces it is below the first one of the PC. */
  readonly depth: number;
  /** When it began, ns since boot. */
  readonly start: bigint;
}

/** Those in each group and below it, by the group's id (`cgroupId`). */
export type Inits = ReadonlyMap<bigint, readonly Init[]>;

/** Groups of containers are not deeper than this. */
const levels = 8;
/** Where each fact is in the kernel's answer, bytes. */
const at = { pid: 0, depth: 4, level: 8, start: 16, groups: 24 } as const;
const size = at.groups + 8 * levels;
/** So much is read of it at most, bytes: more than as many pid namespaces as a kernel has by default. */
const longest = 65_536 * size;

/** `ask`: a function that asks; undefined where the kernel does not tell (it needs 6.1 or newer, with BTF), and `refusal` says why. */
export interface InitsWatch {
  readonly ask: (() => Inits) | undefined;
  readonly refusal: string | undefined;
}

/** It lives as long as this process. */
export function watchInits(): InitsWatch {
  try {
    const link = prepare();
    const ask = (): Inits => answerOf(link);
    ask();
    return { ask, refusal: undefined };
  } catch (error) {
    return { ask: undefined, refusal: (error as Error).message };
  }
}

/** Stack of the program: the answer, and below it one pointer. */
const answer = -size;
const pointer = answer - 8;
/** Size of struct upid (linux/pid.h), as a power of two. */
const numberShift = 4;
/** Pid namespaces are at most 32 deep (MAX_PID_NS_LEVEL, linux/pid_namespace.h). */
const mostLevels = 32;

function prepare(): number {
  const btf = vmlinux();
  const of = (structure: string, member: string): number => btf.offsetOf(structure, member);
  const target = btf.functionId('bpf_iter_task');
  if (target === undefined) throw new Error('the kernel has no iterator of its threads');
  // struct bpf_iter__task: meta, task. The last round has no thread.
  const code = new Assembler().move(6, 1).load64(7, 6, 8).ifEqual(7, 0, 'done');
  /** So many bytes at an address in r8, and an offset, to a place on the stack. A bad address leaves zeros. */
  const read = (to: number, bytes: number, offset: number): Assembler =>
    code.move(1, 10).add(1, to).set(2, bytes).move(3, 8).add(3, offset).call(helper.probeReadKernel);
  const follow = (offset: number): Assembler => read(pointer, 8, offset).load64(8, 10, pointer);
  // Of a process its first thread alone.
  code.load32(3, 7, of('task_struct', 'pid')).load32(4, 7, of('task_struct', 'tgid')).ifSame(3, 4, 'process');
  code.jump('done').label('process');
  for (let slot = pointer; slot < 0; slot += 8) code.zero64(10, slot);
  code.store32(10, answer + at.pid, 4).move(8, 7);
  follow(of('task_struct', 'thread_pid'));
  read(answer + at.depth, 4, of('pid', 'level')).load32(3, 10, answer + at.depth);
  code.ifAbove32(3, mostLevels, 'done').shiftLeft(3, numberShift).addRegister(8, 3);
  // We are the measure of depth.
  code.load32(3, 10, answer + at.pid).ifEqual(3, process.pid, 'told');
  // Its number in its own namespace is the last one of its numbers.
  read(pointer, 8, of('pid', 'numbers') + of('upid', 'nr'))
    .load32(3, 10, pointer)
    .ifNotEqual(3, 1, 'done');
  code.label('told').move(8, 7);
  // Anybody can have any number of inits that have ended, and that nobody reaps.
  follow(of('task_struct', 'signal'));
  read(pointer, 4, of('signal_struct', 'live')).load32(3, 10, pointer).ifEqual(3, 0, 'done');
  code.move(8, 7);
  read(answer + at.start, 8, of('task_struct', 'start_boottime'));
  follow(of('task_struct', 'cgroups'));
  follow(of('css_set', 'dfl_cgrp'));
  read(answer + at.level, 4, of('cgroup', 'level')).move(9, 8);
  for (let level = 1; level <= levels; level++) {
    code.move(8, 9);
    follow(of('cgroup', 'ancestors') + 8 * level);
    follow(of('cgroup', 'kn'));
    read(answer + at.groups + 8 * (level - 1), 8, of('kernfs_node', 'id'));
  }
  // bpf_seq_write(meta->seq, answer, size)
  code.load64(1, 6, 0).load64(1, 1, 0).move(2, 10).add(2, answer).set(3, size).call(helper.seqWrite);
  code.label('done').set(0, 0).exit();
  const program = bpf.load(bpf.programType.iterator, 'hotseat_inits', code.build(), target);
  try {
    return bpf.linkIterator(program);
  } finally {
    closeSync(program);
  }
}

function answerOf(link: number): Inits {
  const round = bpf.openIterator(link);
  try {
    return initsIn(all(round));
  } finally {
    closeSync(round);
  }
}

function all(round: number): Buffer {
  const found = readAtMost(round, longest);
  if (found === undefined) throw new Error('there are too many pid namespaces');
  return found;
}

function initsIn(found: Buffer): Inits {
  const inits = new Map<bigint, Init[]>();
  const own = ownDepth(found);
  for (let from = 0; from < found.length; from += size) {
    const depth = found.readUInt32LE(from + at.depth);
    if (depth <= own) continue;
    const init = { pid: found.readUInt32LE(from + at.pid), depth, start: found.readBigUInt64LE(from + at.start) };
    const deep = Math.min(found.readUInt32LE(from + at.level), levels);
    for (let level = 0; level < deep; level++) {
      const group = found.readBigUInt64LE(from + at.groups + 8 * level);
      const known = inits.get(group);
      if (known === undefined) inits.set(group, [init]);
      else known.push(init);
    }
  }
  return inits;
}

function ownDepth(found: Buffer): number {
  for (let from = 0; from < found.length; from += size)
    if (found.readUInt32LE(from + at.pid) === process.pid) return found.readUInt32LE(from + at.depth);
  throw new Error('the kernel does not tell of ourselves');
}
