// Facts about one thread of somebody else's, told by a BPF iterator: it takes no lock that the thread could hold. Procfs takes one for
// some of them, in kernels since July 2026 (execs.ts).

import { closeSync } from 'node:fs';
import * as bpf from './bpf.js';
import { Assembler, helper } from './bpf-asm.js';
import { type ThreadFacts, tellFacts } from './facts.js';
import { readAtMost } from './read.js';
import { vmlinux } from './vmlinux.js';

/** Where each fact is in the answer, bytes. */
const at = {
  start: 0,
  threads: 8,
  parent: 12,
  userNamespace: 16,
  pidNamespaceOwner: 20,
  netNamespace: 24,
  cgroupNamespace: 28,
  program: 32,
  root: 40,
  pidNamespace: 48,
  realUid: 52,
  programName: 56,
} as const;
/** Of a program's name, with the zero behind it. */
const nameSize = 16;
const size = at.programName + nameSize;

/** A path through the kernel's structures: each member but the last one is a pointer, or lies inside of the structure before. */
type Path = readonly (readonly [structure: string, member: string, kind?: 'inside'])[];

const inum = ['ns_common', 'inum'] as const;
const program: Path = [
  ['task_struct', 'mm'],
  ['mm_struct', 'exe_file'],
  ['file', 'f_inode'],
];
const root: Path = [
  ['task_struct', 'fs'],
  ['fs_struct', 'root', 'inside'],
  ['path', 'dentry'],
  ['dentry', 'd_inode'],
];
const threads: Path = [
  ['task_struct', 'signal'],
  ['signal_struct', 'live'],
];
const userInum: Path = [['user_namespace', 'ns', 'inside'], inum];

const facts: readonly (readonly [to: number, bytes: 4 | 8, path: Path])[] = [
  [at.start, 8, [['task_struct', 'start_boottime']]],
  [at.threads, 4, threads],
  [
    at.parent,
    4,
    [
      ['task_struct', 'real_parent'],
      ['task_struct', 'tgid'],
    ],
  ],
  [at.userNamespace, 4, [['task_struct', 'real_cred'], ['cred', 'user_ns'], ...userInum]],
  [at.netNamespace, 4, [['task_struct', 'nsproxy'], ['nsproxy', 'net_ns'], ['net', 'ns', 'inside'], inum]],
  [
    at.cgroupNamespace,
    4,
    [['task_struct', 'nsproxy'], ['nsproxy', 'cgroup_ns'], ['cgroup_namespace', 'ns', 'inside'], inum],
  ],
  [
    at.realUid,
    4,
    [
      ['task_struct', 'real_cred'],
      ['cred', 'uid'],
    ],
  ],
  [at.program, 8, program],
  [at.root, 8, root],
];

/** From now on `factsOf` tells. Returns why it cannot; undefined when it can. It needs a kernel of 6.1 or newer with BTF. */
export function watchThreads(): string | undefined {
  try {
    const program = prepare();
    const ask = (tid: number): ThreadFacts | undefined => factsBy(program, tid);
    if (ask(process.pid) === undefined) throw new Error('the kernel does not tell of single threads');
    tellFacts(ask);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function factsBy(program: number, tid: number): ThreadFacts | undefined {
  const link = bpf.linkThreadIterator(program, tid);
  let round: number | undefined;
  try {
    round = bpf.openIterator(link);
    const found = readAtMost(round, size);
    return found === undefined || found.length < size ? undefined : factsIn(found);
  } finally {
    for (const fd of [round, link]) if (fd !== undefined) closeSync(fd);
  }
}

function factsIn(found: Buffer): ThreadFacts {
  const namespace = (from: number): bigint => BigInt(found.readUInt32LE(from));
  const inode = (from: number): string => {
    const address = found.readBigUInt64LE(from);
    return address === 0n ? '' : address.toString(16);
  };
  return {
    // USER_HZ is 100 wherever Linux runs (nsec_to_clock_t, kernel/time/time.c).
    start: String(found.readBigUInt64LE(at.start) / 10_000_000n),
    threads: found.readUInt32LE(at.threads),
    parent: found.readUInt32LE(at.parent),
    realUid: found.readUInt32LE(at.realUid),
    userNamespace: namespace(at.userNamespace),
    pidNamespace: namespace(at.pidNamespace),
    pidNamespaceOwner: namespace(at.pidNamespaceOwner),
    netNamespace: namespace(at.netNamespace),
    cgroupNamespace: namespace(at.cgroupNamespace),
    root: inode(at.root),
    program: inode(at.program),
    programName: found.toString('latin1', at.programName, found.indexOf(0, at.programName)),
  };
}

/** Of the program's file. */
const name: Path = [
  ['task_struct', 'mm'],
  ['mm_struct', 'exe_file'],
  ['file', 'f_path', 'inside'],
  ['path', 'dentry'],
  ['dentry', 'd_name', 'inside'],
  ['qstr', 'name'],
];
/** Pid namespaces are at most 32 deep (MAX_PID_NS_LEVEL, linux/pid_namespace.h). */
const mostLevels = 0x3f;
/** Size of struct upid (linux/pid.h), as a power of two. */
const numberShift = 4;

/** Stack of the program: the answer, and below it one pointer. */
const answer = -size;
const pointer = answer - 8;

function prepare(): number {
  const btf = vmlinux();
  const offset = (structure: string, member: string): number => btf.offsetOf(structure, member);
  const target = btf.functionId('bpf_iter_task');
  if (target === undefined) throw new Error('the kernel has no iterator of its threads');
  // struct bpf_iter__task: meta, task. The last round has no thread.
  const code = new Assembler().move(6, 1).load64(7, 1, 8).ifEqual(7, 0, 'done');
  for (let slot = answer; slot < answer + size; slot += 8) code.zero64(10, slot);
  /** bpf_probe_read_kernel(r10 + to, bytes, address in r8); a bad address leaves zeros. */
  const read = (to: number, bytes: number): Assembler =>
    code.move(1, 10).add(1, to).set(2, bytes).move(3, 8).call(helper.probeReadKernel);
  for (const [to, bytes, path] of facts) {
    code.move(8, 7);
    for (const [index, [structure, member, kind]] of path.entries()) {
      code.add(8, offset(structure, member));
      if (kind === 'inside') continue;
      if (index === path.length - 1) read(answer + to, bytes);
      else read(pointer, 8).load64(8, 10, pointer);
    }
  }
  code.move(8, 7);
  for (const [structure, member, kind] of name) {
    code.add(8, offset(structure, member));
    if (kind !== 'inside') read(pointer, 8).load64(8, 10, pointer);
  }
  code
    .move(1, 10)
    .add(1, answer + at.programName)
    .set(2, nameSize)
    .move(3, 8)
    .call(helper.probeReadKernelText);
  // task_active_pid_ns (kernel/pid.c): the namespace of the last of the thread's numbers, one for each level.
  code.move(8, 7).add(8, offset('task_struct', 'thread_pid'));
  read(pointer, 8).load64(9, 10, pointer).move(8, 9).add(8, offset('pid', 'level'));
  code.zero64(10, pointer);
  read(pointer, 4).load64(4, 10, pointer).and(4, mostLevels).shiftLeft(4, numberShift);
  code.move(8, 9).add(8, offset('pid', 'numbers')).addRegister(8, 4).add(8, offset('upid', 'ns'));
  read(pointer, 8).load64(9, 10, pointer);
  code.move(8, 9).add(8, offset('pid_namespace', 'ns') + offset('ns_common', 'inum'));
  read(answer + at.pidNamespace, 4);
  code.move(8, 9).add(8, offset('pid_namespace', 'user_ns'));
  read(pointer, 8)
    .load64(8, 10, pointer)
    .add(8, offset('user_namespace', 'ns') + offset('ns_common', 'inum'));
  read(answer + at.pidNamespaceOwner, 4);
  // bpf_seq_write(meta->seq, answer, size)
  code.load64(1, 6, 0).load64(1, 1, 0).move(2, 10).add(2, answer).set(3, size).call(helper.seqWrite);
  code.label('done').set(0, 0).exit();
  return bpf.load(bpf.programType.iterator, 'hotseat_facts', code.build(), target);
}
