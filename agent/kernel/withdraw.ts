import { closeSync, existsSync, mkdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import * as bpf from './bpf.js';
import { memberOffset } from './btf.js';
import type { DeviceMap } from './device-map.js';
import { withdrawProgram } from './grant-program.js';
import { address, syscall } from './libc.js';

/** Whether the kernel itself withdraws grants; otherwise why not. */
export type Withdrawal = { readonly active: true } | { readonly active: false; readonly reason: string };

const pinned = '/sys/fs/bpf/hotseat/withdraw';
const bpfFileSystem = 0xcafe4a11; // BPF_FS_MAGIC (linux/magic.h)
/** Called by device_del for every device that has a number, before its subsystem frees the minor (drivers/base/core.c). */
const hook = 'devtmpfs_delete_node';

/**
 * Has the kernel void all grants of a device number the moment its device is deleted, whether the agent is alive or not.
 * The program hangs on a kernel function by a pinned link, so that it outlives the agent; it is made anew at each start,
 * the old one being let go only afterwards.
 */
export function ensureWithdraw(map: DeviceMap): Withdrawal {
  try {
    if (statfsSync(dirname(dirname(pinned))).type !== bpfFileSystem)
      throw new Error('/sys/fs/bpf is no bpf file system');
    const program = bpf.load(
      bpf.programType.kprobe,
      'hotseat_withdraw',
      withdrawProgram(map.fd, firstArgument(), devtOffset()),
    );
    const event = probe(hook);
    const link = bpf.linkPerfEvent(program, event);
    mkdirSync(dirname(pinned), { recursive: true, mode: 0o700 });
    if (existsSync(pinned)) rmSync(pinned);
    bpf.pin(link, pinned);
    for (const fd of [link, event, program]) closeSync(fd);
    return { active: true };
  } catch (error) {
    return { active: false, reason: (error as Error).message };
  }
}

function devtOffset(): number {
  const offset = memberOffset(readFileSync('/sys/kernel/btf/vmlinux'), 'device', 'devt');
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

/** A perf event at the entry of a kernel function (perf_event_open(2), kprobe PMU). */
function probe(symbol: string): number {
  const type = Number(readFileSync('/sys/bus/event_source/devices/kprobe/type', 'utf8'));
  const name = Buffer.from(`${symbol}\0`);
  const attributes = Buffer.alloc(128);
  attributes.writeUInt32LE(type, 0);
  attributes.writeUInt32LE(attributes.length, 4);
  attributes.writeBigUInt64LE(address(name), 56);
  const event = syscall('perf_event_open', symbol, attributes, -1, 0, -1, 8 /* PERF_FLAG_FD_CLOEXEC */);
  return name.length > 0 ? event : -1;
}
