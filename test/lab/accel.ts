// KVM if it truly runs a guest. /dev/kvm alone says nothing: nested, it can fail at the first MSR, at an instruction that
// the outer one does not emulate, or be slower than TCG.

import { execa } from 'execa';
import { exists } from './image.js';

export type Accel = 'kvm' | 'tcg';

let known: Promise<Accel> | undefined;

/** `kernel`: the lab's own, which is what KVM has to run. */
export function accel(kernel: string): Promise<Accel> {
  known ??= probe(kernel);
  return known;
}

async function probe(kernel: string): Promise<Accel> {
  const wish = process.env.HOTSEAT_LAB_ACCEL;
  if (wish === 'kvm' || wish === 'tcg') return wish;
  if (!(await exists('/dev/kvm'))) return 'tcg';
  // Without a disk the kernel panics, and a panic is a reboot, which ends QEMU. TCG needs 3 s for it.
  const qemu = execa(
    'qemu-system-x86_64',
    [
      ...['-machine', 'pc,accel=kvm', '-cpu', 'max', '-m', '256', '-nodefaults', '-display', 'none', '-no-reboot'],
      ...['-kernel', kernel, '-append', 'quiet panic=-1'],
    ],
    { reject: false, timeout: 8000, forceKillAfterDelay: 500, stdin: 'ignore', stdout: 'ignore' },
  );
  // QEMU keeps a guest that KVM could not go on with, for a debugger.
  qemu.stderr.on('data', (words: Buffer) => {
    if (words.includes('KVM internal error')) qemu.kill('SIGKILL');
  });
  return (await qemu).exitCode === 0 ? 'kvm' : 'tcg';
}
