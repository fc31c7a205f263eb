import { closeSync } from 'node:fs';
import * as bpf from './bpf.js';
import { Assembler, helper } from './bpf-asm.js';
import { readAtMost } from './read.js';
import { vmlinux } from './vmlinux.js';

/** So much is read of the kernel's answer, bytes: four for each thread. */
const longest = 4 * 4_194_304; // PID_MAX_LIMIT (linux/threads.h)

/**
 * A question to the kernel about all threads of the PC, by a BPF iterator that lives as long as this process. `test` goes on
 * with a program that has a thread (struct task_struct) in register 2, and jumps to the label `done` for a thread that is not
 * meant. Returns a function that asks: the pids of all processes with such a thread. Throws, as that function does, when the
 * kernel does not answer.
 */
export function aboutThreads(name: string, test: (program: Assembler) => Assembler): () => ReadonlySet<number> {
  const btf = vmlinux();
  const pid = btf.memberOffset('task_struct', 'tgid');
  const target = btf.functionId('bpf_iter_task');
  if (pid === undefined || target === undefined) throw new Error('the kernel has no iterator of its threads');
  const program = bpf.load(bpf.programType.iterator, name, writingPid(pid, test), target);
  let link: number;
  try {
    link = bpf.linkIterator(program);
  } finally {
    closeSync(program);
  }
  return () => answerOf(link);
}

function answerOf(link: number): ReadonlySet<number> {
  const round = bpf.openIterator(link);
  try {
    const bytes = readAtMost(round, longest);
    if (bytes === undefined) throw new Error('the kernel tells of too many threads');
    const pids = new Set<number>();
    for (let at = 0; at < bytes.length; at += 4) pids.add(bytes.readUInt32LE(at));
    return pids;
  } finally {
    closeSync(round);
  }
}

/** Runs for each thread (struct bpf_iter__task: meta, task), and writes the pid of its process. */
const writingPid = (pid: number, test: (program: Assembler) => Assembler): Buffer =>
  // The last round has no thread.
  test(new Assembler().load64(2, 1, 8).ifEqual(2, 0, 'done'))
    .load32(3, 2, pid)
    .store32(10, -8, 3)
    // bpf_seq_write(meta->seq, &pid, 4)
    .load64(1, 1, 0)
    .load64(1, 1, 0)
    .move(2, 10)
    .add(2, -8)
    .set(3, 4)
    .call(helper.seqWrite)
    .label('done')
    .set(0, 0)
    .exit()
    .build();
