// KVM if it truly runs a guest. /dev/kvm alone says nothing: nested, it can fail at the first MSR or be slower than TCG.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { exists } from './image.js';

export type Accel = 'kvm' | 'tcg';

let known: Promise<Accel> | undefined;

export function accel(): Promise<Accel> {
  known ??= probe();
  return known;
}

async function probe(): Promise<Accel> {
  const wish = process.env.HOTSEAT_LAB_ACCEL;
  if (wish === 'kvm' || wish === 'tcg') return wish;
  if (!(await exists('/dev/kvm'))) return 'tcg';
  const dir = await mkdtemp(join(tmpdir(), 'hotseat-kvm-'));
  try {
    // mov al, 0x10; out 0xf4, al; hlt: the debug device makes QEMU exit with 0x10 * 2 + 1. TCG needs 0.3 s for it.
    const boot = Buffer.alloc(512);
    boot.set([0xb0, 0x10, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd]);
    boot.set([0x55, 0xaa], 510);
    const disk = join(dir, 'boot');
    await writeFile(disk, boot);
    const { exitCode } = await execa(
      'qemu-system-x86_64',
      [
        ...['-machine', 'pc,accel=kvm', '-nodefaults', '-display', 'none', '-m', '32'],
        ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=1', '-drive', `file=${disk},format=raw,if=ide`],
      ],
      { reject: false, timeout: 2000, forceKillAfterDelay: 500, stdin: 'ignore' },
    );
    return exitCode === 33 ? 'kvm' : 'tcg';
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
