// Framebuffers are not part of a lease (drm_lease.c): a lessee may read and change each of its card. A BPF program
// before the kernel's security hook forbids the requests that it needs for that: to everybody, however he got the card.

import { closeSync } from 'node:fs';
import type { DeviceNumber } from '../core/device.js';
import * as bpf from './bpf.js';
import { Assembler } from './bpf-asm.js';
import { vmlinux } from './vmlinux.js';

/**
 * Lowest bytes of GEM_FLINK, GEM_OPEN, MODE_GETFB and MODE_GETFB2 (drm.h). The kernel chooses by this byte and takes the size from the
 * caller (drm_ioctl.c, drm_ioctl), so that the whole number of a request says nothing.
 */
const forbidden = [0x0a, 0x0b, 0xad, 0xce];
const EPERM = 1;

/**
 * The kernel calls the first before each request; since Linux 6.8 the second for programs of 32 bits (security/security.c). A program
 * may stand before such a function and answer in its place (BPF_MODIFY_RETURN). It takes no security module for that.
 */
const hooks = ['security_file_ioctl', 'security_file_ioctl_compat'];

/**
 * Forbids these requests for a card until `close`.
 * @throws when the kernel has no such hooks, or does not describe itself (5.7 and newer, with BTF and trampolines)
 */
export function guardFramebuffers(card: DeviceNumber): { close(): void } {
  const links: number[] = [];
  const close = (): void => {
    for (const link of links.splice(0)) closeSync(link);
  };
  try {
    for (const [index, hook] of hooks.entries()) {
      const target = vmlinux().functionId(hook);
      if (target !== undefined) links.push(linked(target, card));
      else if (index === 0) throw new Error('the kernel has no hook for requests to devices (CONFIG_SECURITY)');
    }
    return { close };
  } catch (error) {
    close();
    throw error;
  }
}

function linked(target: number, card: DeviceNumber): number {
  const program = bpf.load(bpf.programType.modifyReturn, 'hotseat_frames', forbidding(card), target);
  try {
    return bpf.linkBefore(program);
  } finally {
    closeSync(program);
  }
}

/** Runs with a file, the number of a request and its argument (security.c, security_file_ioctl). */
function forbidding({ major, minor }: DeviceNumber): Buffer {
  const offset = (structure: string, member: string): number => vmlinux().offsetOf(structure, member);
  const code = new Assembler()
    .load64(2, 1, 0)
    .load64(2, 2, offset('file', 'f_inode'))
    .load32(2, 2, offset('inode', 'i_rdev'))
    // The kernel's own form of a device number (linux/kdev_t.h, MKDEV).
    .ifNotEqual(2, major * 2 ** 20 + minor, 'allowed')
    .load64(3, 1, 8)
    .and(3, 0xff);
  for (const request of forbidden) code.ifEqual(3, request, 'forbidden');
  return code.label('allowed').set(0, 0).exit().label('forbidden').set(0, -EPERM).exit().build();
}
