import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Amounts } from '../core/shares.js';
import { propertiesOf } from './amounts.js';

/** Longest that systemd may take for it, ms: a lower limit is reclaimed down to before it answers. */
const limit = 20_000;

/** Where `set-property --runtime` keeps the properties (systemd.unit(5), unit file load path). */
const dropIns = '/run/systemd/system.control';

/** Has systemd set a unit's properties until the next boot. Our own slices are started, which makes them. */
export async function setProperties(unit: string, amounts: Amounts, { start }: { start: boolean }): Promise<void> {
  await systemctl('set-property', '--runtime', '--', unit, ...propertiesOf(amounts));
  if (start) await systemctl('start', '--', unit);
}

/**
 * Takes away the files that tell of properties that have their former values again: systemd goes by its own configuration from
 * the next daemon-reload on. Files that were there before us, `kept`, stay, with the values that they had.
 */
export function forgetProperties(unit: string, amounts: Amounts, kept: readonly string[]): void {
  for (const file of dropInsOf(unit, amounts)) if (!kept.includes(file)) rmSync(file, { force: true });
}

/** Files of an administrator's own `set-property --runtime` for these. */
export const presentDropIns = (unit: string, amounts: Amounts): string[] => dropInsOf(unit, amounts).filter(existsSync);

const dropInsOf = (unit: string, amounts: Amounts): string[] =>
  propertiesOf(amounts).map((property) => join(dropIns, `${unit}.d`, `50-${property.split('=')[0]}.conf`));

async function systemctl(...words: string[]): Promise<void> {
  const { failed, stderr, shortMessage } = await execa('systemctl', words, {
    ...{ reject: false, timeout: limit, stdin: 'ignore', forceKillAfterDelay: 1000 },
  });
  if (failed) throw new Error(`systemctl ${words.join(' ')}: ${stderr.trim() || shortMessage}`);
}
