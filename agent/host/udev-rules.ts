import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { readOptional } from '../kernel/read.js';

/** Sorts after `72-seat-*.rules`, which `loginctl attach` writes, and before `73-seat-late.rules`. */
export const rulesFile = '/run/udev/rules.d/72-zz-hotseat.rules';

/** udevd could not be told of the rules as they are now. */
let reloadOwed = false;

/** Puts rules where udevd reads them and has it do so; nothing happens when they are there already. */
export async function installRules(text: string): Promise<boolean> {
  if (readOptional(rulesFile) === text && !reloadOwed) return false;
  mkdirSync(dirname(rulesFile), { recursive: true, mode: 0o755 });
  writeFileSync(`${rulesFile}.new`, text, { mode: 0o644 });
  renameSync(`${rulesFile}.new`, rulesFile);
  await reload();
  return true;
}

/** Takes the rules away again; nothing happens when there are none. */
export async function removeRules(): Promise<boolean> {
  if (readOptional(rulesFile) === undefined && !reloadOwed) return false;
  rmSync(rulesFile, { force: true });
  await reload();
  return true;
}

async function reload(): Promise<void> {
  reloadOwed = true;
  await execa('udevadm', ['control', '--reload'], { timeout: 10_000 });
  reloadOwed = false;
}

/** Has udevd look at a device again, as `udevadm trigger --action=change` does. One that has gone meanwhile is fine. */
export function triggerChange(syspath: string): void {
  try {
    // Never O_CREAT: sysfs answers that with EACCES when the file has gone and its directory not yet.
    writeFileSync(join(syspath, 'uevent'), 'change', { flag: 'r+' });
  } catch (error) {
    if (!['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
