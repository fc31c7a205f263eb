import koffi from 'koffi';
import { SysError } from './errors.js';

/** An argument of a system call: a number, a buffer that the kernel reads or writes, or a text passed as C string. */
export type Argument = number | bigint | Buffer | string;

const word = 'int64_t';
const libc = koffi.load('libc.so.6');
const call = libc.func('syscall', word, ['long', word, word, word, word, word, word]);
const memcpy = libc.func('memcpy', word, [word, word, 'size_t']);

/** System call numbers of x86_64 and of the generic table that arm64 uses (asm/unistd_64.h, asm-generic/unistd.h). */
const numbers = {
  openat2: [437, 437],
  mkdirat: [258, 34],
  mknodat: [259, 33],
  fchownat: [260, 54],
  fchmodat: [268, 53],
  renameat2: [316, 276],
  unlinkat: [263, 35],
  symlinkat: [266, 36],
  mount: [165, 40],
  umount2: [166, 39],
  open_tree: [428, 428],
  move_mount: [429, 429],
  mount_setattr: [442, 442],
  setns: [308, 268],
  prctl: [157, 167],
  unshare: [272, 97],
  socket: [41, 198],
  bind: [49, 200],
  listen: [50, 201],
  fcntl: [72, 25],
  sendto: [44, 206],
  sendmsg: [46, 211],
  recvfrom: [45, 207],
  getsockopt: [55, 209],
  getsockname: [51, 204],
  ppoll: [271, 73],
  pidfd_open: [434, 434],
  pidfd_getfd: [438, 438],
  kcmp: [312, 272],
  statx: [332, 291],
  ioctl: [16, 29],
  mmap: [9, 222],
  munmap: [11, 215],
  bpf: [321, 280],
  memfd_create: [319, 279],
  perf_event_open: [298, 241],
  inotify_add_watch: [254, 27],
  lseek: [8, 62],
  getdents64: [217, 61],
  fchdir: [81, 50],
  setfsuid: [122, 151],
  setfsgid: [123, 152],
} as const;

export type Syscall = keyof typeof numbers;

const table = process.arch === 'arm64' ? 1 : 0;

/**
 * Makes a system call (syscall(2)) and returns its result. `what` names the object in the error.
 * Buffers and texts stay alive until it returns, because the arguments hold them.
 * @throws SysError
 */
export function syscall(name: Syscall, what: string, ...args: readonly Argument[]): number {
  const result = resultOf(name, args);
  if (result === -1) throw new SysError(name, koffi.errno(), what);
  return result;
}

/**
 * The same where one error is an answer, such as `EEXIST`: undefined then. An Error with its stack costs more than the call.
 * @throws SysError with any other error
 */
export function syscallUnless(
  answer: string,
  name: Syscall,
  what: string,
  ...args: readonly Argument[]
): number | undefined {
  const result = resultOf(name, args);
  if (result !== -1) return result;
  const errno = koffi.errno();
  if (errno === koffi.os.errno[answer]) return undefined;
  throw new SysError(name, errno, what);
}

function resultOf(name: Syscall, args: readonly Argument[]): number {
  const held = args.map((argument) => (typeof argument === 'string' ? Buffer.from(`${argument}\0`) : argument));
  const words = held.map((argument) => (Buffer.isBuffer(argument) ? address(argument) : argument));
  while (words.length < 6) words.push(0);
  const result = Number(call(numbers[name][table], ...words));
  // `held` is used after the call so that no buffer can be collected during it.
  return held.length >= 0 ? result : -1;
}

/**
 * The same on a thread of Node's pool, for a call that may wait for somebody. Such a thread is lost for as long as it waits.
 */
export function syscallLater(name: Syscall, what: string, ...args: readonly (number | bigint)[]): Promise<number> {
  const words = [...args];
  while (words.length < 6) words.push(0);
  return new Promise((resolve, reject) => {
    call.async(numbers[name][table], ...words, (_error: unknown, result: number | bigint) => {
      if (Number(result) === -1) reject(new SysError(name, koffi.errno(), what));
      else resolve(Number(result));
    });
  });
}

/** Where a buffer's bytes are, for structures that hold pointers. The caller keeps the buffer alive. */
export const address = (buffer: Buffer): bigint => (buffer.length === 0 ? 0n : BigInt(koffi.address(buffer)));

/** Copies bytes into memory that is mapped at an address; the caller knows that there is room for them. */
export function copyTo(target: number, bytes: Buffer): void {
  memcpy(target, address(bytes), bytes.length);
}
