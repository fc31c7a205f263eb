// KVM if it truly runs a guest. /dev/kvm alone says nothing: nested, it can fail at the first MSR, at an instruction that
// the outer one does not emulate, or be slower than TCG.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { exists, type Image } from './image.js';

export type Accel = 'kvm' | 'tcg';

let known: Promise<Accel> | undefined;

/** Whether KVM runs the lab's own kernel. Asked once for each boot of this machine. */
export function accel(image: Image): Promise<Accel> {
  known ??= remembered(image);
  return known;
}

async function remembered({ dir, kernel }: Image): Promise<Accel> {
  const wish = process.env['HOTSEAT_LAB_ACCEL'];
  if (isAccel(wish)) return wish;
  const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  const file = join(dir, `accel-${boot}`);
  const before = await readFile(file, 'utf8').catch(() => undefined);
  if (isAccel(before)) return before;
  const found = await probe(kernel);
  await writeFile(file, found);
  return found;
}

const isAccel = (word: string | undefined): word is Accel => word === 'kvm' || word === 'tcg';

async function probe(kernel: string): Promise<Accel> {
  if (!(await exists('/dev/kvm'))) return 'tcg';
  // Without a disk the kernel panics, and a panic is a reboot, which ends QEMU. TCG needs 3 s for it. QEMU ends
  // with 0 at the signal of the time limit as well: only the kernel's own words show that it came so far.
  const qemu = execa(
    'qemu-system-x86_64',
    [
      ...['-machine', 'pc,accel=kvm', '-cpu', 'max', '-m', '256', '-nodefaults', '-display', 'none', '-no-reboot'],
      ...['-serial', 'stdio', '-kernel', kernel, '-append', 'console=ttyS0 quiet panic=-1'],
    ],
    { reject: false, timeout: 8000, forceKillAfterDelay: 500, stdin: 'ignore' },
  );
  // QEMU keeps a guest that KVM could not go on with, for a debugger.
  qemu.stderr.on('data', (words: Buffer) => {
    if (words.includes('KVM internal error')) qemu.kill('SIGKILL');
  });
  const { exitCode, stdout } = await qemu;
  return exitCode === 0 && stdout.includes('Kernel panic') ? 'kvm' : 'tcg';
}
