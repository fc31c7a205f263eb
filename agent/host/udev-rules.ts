import { randomUUID } from 'node:crypto';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { namesIn, readOptional, resolvedPath } from '../kernel/read.js';

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

/** Takes the rules away and has udevd see every device without them, parents before their children. */
export async function removeRules(): Promise<void> {
  rmSync(rulesFile, { force: true });
  await reload();
  // Every device below a seat's device has inherited its seat, HID devices and lights too (73-seat-late.rules). A
  // device that is left out hands it on to its children again.
  const all = ['usb', 'input', 'sound', 'drm'].map((subsystem) => `--subsystem-match=${subsystem}`);
  for (const which of ['--property-match=ID_SEAT=seat-*', ...all]) {
    await udevadm(['trigger', which, '--action=change', '--settle'], 60_000);
  }
}

async function reload(): Promise<void> {
  reloadOwed = true;
  await udevadm(['control', '--reload'], 10_000);
  reloadOwed = false;
}

/** An agent that starts again and finds its rules as they must be starts no program, and is ready sooner. */
async function udevadm(command: readonly string[], timeout: number): Promise<void> {
  const { execa } = await import('execa');
  await execa('udevadm', command, { timeout });
}

/**
 * Has udevd look at a device again, as `udevadm trigger --action=change` does; its rules find `argument` as
 * SYNTH_ARG_HOTSEAT then (lib/kobject_uevent.c). A device that has gone meanwhile is no error.
 */
export function triggerChange(syspath: string, argument?: string): void {
  try {
    // Never O_CREAT: sysfs answers that with EACCES when the file has gone and its directory not yet.
    const text = argument === undefined ? 'change' : `change ${randomUUID()} HOTSEAT=${argument}`;
    writeFileSync(join(syspath, 'uevent'), text, { flag: 'r+' });
  } catch (error) {
    if (!['ENOENT', 'ENODEV'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

const usb = '/sys/bus/usb/devices';

/** Syspaths of all USB hubs, devices and interfaces, parents before their children; none on a kernel without USB. */
export const usbDevices = (): string[] =>
  namesIn(usb)
    .flatMap((name) => resolvedPath(join(usb, name)) ?? [])
    .sort((a, b) => a.length - b.length);
