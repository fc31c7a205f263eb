import { closeSync, mkdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import * as bpf from './bpf.js';
import type { DeviceMap } from './device-map.js';
import { keySize, valueSize, withdrawProgram } from './grant-program.js';
import { address, syscall } from './libc.js';
import { vmlinux } from './vmlinux.js';

/** Whether the kernel itself withdraws grants; otherwise why not. */
export type Withdrawal = { readonly active: true } | { readonly active: false; readonly reason: string };

const pinned = '/sys/fs/bpf/hotseat/withdraw';
const bpfFileSystem = 0xcafe4a11; // BPF_FS_MAGIC (linux/magic.h)
/** Called by device_del for every device that has a number, before its subsystem frees the minor (drivers/base/core.c). */
const hook = 'devtmpfs_delete_node';

/** Why this kernel cannot withdraw grants by itself; undefined when it can. Tried with a map of its own, and undone. */
export function withdrawalRefusal(): string | undefined {
  const open: number[] = [];
  try {
    requireBpfFileSystem();
    open.push(probe(hook));
    const fd = bpf.createHash('hotseat_doctor', keySize, valueSize, 1);
    open.push(fd);
    open.push(loadWithdraw({ fd }));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  } finally {
    for (const fd of open) closeSync(fd);
  }
}

/**
 * Has the kernel void all grants of a device number the moment its device is deleted, whether the agent is alive or not.
 * The program hangs on a kernel function by a pinned link, so that it outlives the agent; it is made again at each start,
 * the old one being let go only afterwards.
 */
export function ensureWithdraw(map: Pick<DeviceMap, 'fd'>): Withdrawal {
  const open: number[] = [];
  const keep = (fd: number): number => {
    open.push(fd);
    return fd;
  };
  try {
    requireBpfFileSystem();
    const event = keep(probe(hook));
    const program = keep(loadWithdraw(map));
    const link = keep(bpf.linkPerfEvent(program, event));
    mkdirSync(dirname(pinned), { recursive: true, mode: 0o700 });
    // The new one runs already: a device that goes between these two lines raises its generation twice, never not at all.
    rmSync(pinned, { force: true });
    bpf.pin(link, pinned);
    return { active: true };
  } catch (error) {
    return { active: false, reason: (error as Error).message };
  } finally {
    for (const fd of open) closeSync(fd);
  }
}

/** Where the link is kept. */
function requireBpfFileSystem(): void {
  if (statfsSync(dirname(dirname(pinned))).type !== bpfFileSystem) throw new Error('/sys/fs/bpf is no bpf file system');
}

/** Lets the program go: for an uninstallation, never for a stop. */
export const removeWithdraw = (): void => rmSync(dirname(pinned), { recursive: true, force: true });

/** The program alone, not attached to anything yet; the caller closes it. */
export const loadWithdraw = (map: Pick<DeviceMap, 'fd'>): number =>
  bpf.load(bpf.programType.kprobe, 'hotseat_withdraw', withdrawProgram(map.fd, firstArgument(), devtOffset()));

/** Where struct device keeps its number, in this very kernel. */
export function devtOffset(): number {
  const offset = vmlinux().memberOffset('device', 'devt');
  if (offset === undefined) throw new Error('the kernel does not say where struct device keeps its number');
  return offset;
}

/** Where struct pt_regs has the first argument: `di` on x86_64 (asm/ptrace.h), `regs[0]` on arm64. */
function firstArgument(): number {
  switch (process.arch) {
    case 'x64':
      return 112;
    case 'arm64':
      return 0;
    default:
      throw new Error(`no kernel probe on ${process.arch}`);
  }
}

function probeType(): number {
  try {
    return Number(readFileSync('/sys/bus/event_source/devices/kprobe/type', 'utf8'));
  } catch {
    throw new Error('the kernel has no probes (CONFIG_KPROBE_EVENTS)');
  }
}

/** A perf event at the entry of a kernel function (perf_event_open(2), kprobe PMU). */
function probe(symbol: string): number {
  const type = probeType();
  const name = Buffer.from(`${symbol}\0`);
  const attributes = Buffer.alloc(128);
  attributes.writeUInt32LE(type, 0);
  attributes.writeUInt32LE(attributes.length, 4);
  attributes.writeBigUInt64LE(address(name), 56);
  const event = syscall('perf_event_open', symbol, attributes, -1, 0, -1, 8 /* PERF_FLAG_FD_CLOEXEC */);
  return name.length > 0 ? event : -1;
}
