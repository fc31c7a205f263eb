import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execa } from 'execa';

/** Sorts after `72-seat-*.rules`, which `loginctl attach` writes, and before `73-seat-late.rules`. */
export const rulesFile = '/run/udev/rules.d/72-zz-hotseat.rules';

/** Puts rules where udevd reads them and has it do so; nothing happens when they are there already. */
export async function installRules(text: string): Promise<boolean> {
  if (current() === text) return false;
  mkdirSync(dirname(rulesFile), { recursive: true, mode: 0o755 });
  writeFileSync(`${rulesFile}.new`, text, { mode: 0o644 });
  renameSync(`${rulesFile}.new`, rulesFile);
  await execa('udevadm', ['control', '--reload'], { timeout: 10_000 });
  return true;
}

/** Has udevd look at a device again, as `udevadm trigger --action=change` does. One that has gone meanwhile is fine. */
export function triggerChange(syspath: string): void {
  try {
    writeFileSync(join(syspath, 'uevent'), 'change');
  } catch (error) {
    if (!['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

function current(): string | undefined {
  try {
    return readFileSync(rulesFile, 'utf8');
  } catch {
    return undefined;
  }
}
