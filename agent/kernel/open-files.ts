// Which processes a search for open devices has to look at, told by a BPF iterator over all open files of the PC: some 100 ns each.

import { closeSync, readSync } from 'node:fs';
import type { DeviceNumber } from '../core/device.js';
import * as bpf from './bpf.js';
import { Assembler, helper } from './bpf-asm.js';
import { vmlinux } from './vmlinux.js';

/** The processes that a search has to look at. */
export interface Suspects {
  readonly all: ReadonlySet<number>;
  /** Those among them with a unix socket in which descriptors lie that nobody has received, or may lie. */
  readonly queued: ReadonlySet<number>;
}

/** Longest that the kernel is asked, ms; `sign` is called again and again meanwhile. */
interface Patience {
  readonly ms: number;
  readonly sign: () => void;
}

let ask: ((numbers: readonly DeviceNumber[], patience: Patience) => Suspects) | undefined;

/** From now on `whoMayHave` tells. Returns why it cannot; undefined when it can. */
export function watchFiles(): string | undefined {
  try {
    ask = prepared();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Why the kernel does not tell of open files, tried without consequence; undefined when it does. */
export function filesRefusal(): string | undefined {
  try {
    prepared();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function prepared(): NonNullable<typeof ask> {
  const offsets = prepare();
  const asked: NonNullable<typeof ask> = (numbers, patience) => pidsBy(offsets, numbers, patience);
  // The program is loaded and asked: whether a round comes to its end now tells nothing about the next one.
  unlessLate(() => asked([], { ms: 0, sign: () => undefined }));
  return asked;
}

/**
 * Pids of all processes that have one of the devices open, by name only as well, or something that other files can lie in: a unix
 * socket with descriptors in unread messages, one with a connection that nobody has accepted, or an io_uring. Undefined where the
 * kernel does not tell, or takes too long: anybody may have a hundred million descriptors (200 processes that share one socket).
 */
export function whoMayHave(numbers: readonly DeviceNumber[], patience: Patience): Suspects | undefined {
  try {
    return ask?.(numbers, patience);
  } catch {
    return undefined;
  }
}

/** There are more open files than the kernel names in that time. */
class Late extends Error {}

function unlessLate(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof Late)) throw error;
  }
}

type Offsets = ReturnType<typeof prepare>;

function prepare() {
  const btf = vmlinux();
  const of = (structure: string, member: string): number => btf.offsetOf(structure, member);
  const target = btf.functionId('bpf_iter_task_file');
  if (target === undefined) throw new Error('the kernel has no iterator of open files');
  const common = of('sock', '__sk_common');
  return {
    target,
    pid: of('task_struct', 'tgid'),
    inode: of('file', 'f_inode'),
    mode: of('inode', 'i_mode'),
    device: of('inode', 'i_rdev'),
    dentry: of('file', 'f_path') + of('path', 'dentry'),
    name: of('dentry', 'd_name') + of('qstr', 'name'),
    own: of('file', 'private_data'),
    sock: of('socket', 'sk'),
    family: common + of('sock_common', 'skc_family'),
    state: common + of('sock_common', 'skc_state'),
    waiting: of('sock', 'sk_receive_queue') + of('sk_buff_head', 'qlen'),
    queued: of('unix_sock', 'scm_stat') + of('scm_stat', 'nr_fds'),
  };
}

/** Of st_mode (inode(7)). */
const kind = { mask: 0xf000, socket: 0xc000, device: 0x2000, others: [0x4000, 0x1000, 0x6000, 0xa000] } as const;
const unixFamily = 1; // AF_UNIX
const listening = 10; // TCP_LISTEN (net/tcp_states.h), of any kind of socket
/** The first eight bytes of the name of an io_uring, which is a file without a path: `[io_uring]`. */
const ringName = Buffer.from('[io_urin').readBigUInt64LE();

/** Written beside a pid, which is always less (PID_MAX_LIMIT, linux/threads.h): something is queued in a socket. */
const queuedBit = 2 ** 31;

/** Stack of the program: the pid that it writes, and what it has read last. */
const written = -8;
const slot = -16;

function program(at: Offsets, numbers: readonly DeviceNumber[]): Buffer {
  const code = new Assembler();
  /** So many bytes at an address in r9, and an offset, into r3. A bad address reads as 0. */
  const read = (offset: number, bytes: number): Assembler =>
    code
      .zero64(10, slot)
      .move(1, 10)
      .add(1, slot)
      .set(2, bytes)
      .move(3, 9)
      .add(3, offset)
      .call(helper.probeReadKernel)
      .load64(3, 10, slot);
  // struct bpf_iter__task_file: meta, task, fd, file. The last round has neither.
  code.move(6, 1).load64(7, 6, 8).ifEqual(7, 0, 'done').load64(8, 6, 24).ifEqual(8, 0, 'done');
  code.load64(9, 8, at.inode).ifEqual(9, 0, 'done').load16(3, 9, at.mode).and(3, kind.mask);
  code.ifEqual(3, kind.device, 'device').ifEqual(3, kind.socket, 'socket');
  for (const other of kind.others) code.ifEqual(3, other, 'done');
  code.load64(9, 8, at.dentry).ifEqual(9, 0, 'done').load64(9, 9, at.name);
  read(0, 8).set64(4, ringName).ifSame(3, 4, 'found').jump('done');
  code.label('device').load32(3, 9, at.device);
  // The kernel's own dev_t (linux/kdev_t.h).
  for (const { major, minor } of numbers) code.ifEqual(3, major * 2 ** 20 + minor, 'found');
  code.jump('done').label('socket').load64(9, 8, at.own);
  read(at.sock, 8).ifEqual(3, 0, 'done').move(9, 3);
  read(at.family, 2).ifNotEqual(3, unixFamily, 'done');
  read(at.state, 1).ifEqual(3, listening, 'listening');
  read(at.queued, 4).ifEqual(3, 0, 'done').jump('queued').label('listening');
  // Somebody who connects may have sent something already (unix_count_nr_fds in net/unix/af_unix.c).
  read(at.waiting, 4).ifEqual(3, 0, 'done').label('queued');
  code.load32(3, 7, at.pid).add(3, queuedBit).jump('write').label('found').load32(3, 7, at.pid).label('write');
  // bpf_seq_write(meta->seq, &pid, 4)
  code.store32(10, written, 3).load64(1, 6, 0).load64(1, 1, 0);
  code.move(2, 10).add(2, written).set(3, 4).call(helper.seqWrite);
  return code.label('done').set(0, 0).exit().build();
}

function pidsBy(at: Offsets, numbers: readonly DeviceNumber[], patience: Patience): Suspects {
  const fds: number[] = [];
  const kept = (fd: number): number => {
    fds.push(fd);
    return fd;
  };
  try {
    const loaded = kept(bpf.load(bpf.programType.iterator, 'hotseat_files', program(at, numbers), at.target));
    return pidsIn(kept(bpf.openIterator(kept(bpf.linkIterator(loaded)))), patience);
  } finally {
    for (const fd of fds.toReversed()) closeSync(fd);
  }
}

/**
 * Each read(2) ends after a million files at the latest, with EAGAIN when nothing was written (MAX_ITER_OBJECTS,
 * kernel/bpf/bpf_iter.c): the clock is looked at in between.
 */
function pidsIn(round: number, { ms, sign }: Patience): Suspects {
  const [all, queued] = [new Set<number>(), new Set<number>()];
  const bytes = Buffer.alloc(64 * 1024);
  const end = performance.now() + ms;
  for (;;) {
    const length = readSome(round, bytes);
    if (length === 0) return { all, queued };
    for (let index = 0; index < length; index += 4) {
      const found = bytes.readUInt32LE(index);
      const pid = found % queuedBit;
      all.add(pid);
      if (found >= queuedBit) queued.add(pid);
    }
    if (performance.now() > end) throw new Late('there are more open files than the kernel names in this time');
    sign();
  }
}

/** How many bytes were read; less than 0 when the kernel has looked at many files and found nothing. */
function readSome(round: number, bytes: Buffer): number {
  try {
    return readSync(round, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    return -1;
  }
}
