import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { lastGood, lastGoodFile } from '../active/last-good.js';
import { sharedSeat } from '../core/decide.js';
import { bootFiles, promptUnits } from '../host/at-boot.js';
import { rulesFile } from '../host/udev-rules.js';
import { namesIn, readOptional } from '../kernel/read.js';
import { displayManager } from '../policy/udev-rules.js';
import type { BootFacts } from './facts.js';
import { askSystemd, limit } from './service-facts.js';

/** The files that a boot of this PC would use, against the last confirmed policy; undefined when there is none. */
export async function bootFacts(): Promise<BootFacts | undefined> {
  const policy = lastGood(lastGoodFile, hostname())?.policy;
  if (policy === undefined) return undefined;
  const seats = policy.seats.length > 0;
  const ours = new Set([sharedSeat, ...policy.seats.map(({ seat }) => `seat-${seat}`)]);
  const covers = join('/etc/udev/rules.d', basename(rulesFile));
  const [unit, resets] = await Promise.all([askSystemd('hotseat-mute.service'), resetting()]);
  return {
    seats,
    muted: seats && policy.console === 'mute',
    wrong: [...bootFiles(policy)].flatMap(([file, text]) => (readOptional(file) === text ? [] : [file])),
    covers: existsSync(covers) ? covers : undefined,
    unit,
    resets,
    greeted: existsSync(displayManager) ? namesIn('/run/systemd/seats').filter((name) => ours.has(name)) : [],
  };
}

/** Login prompts that have TTYReset=yes, as systemd knows them now: drop-ins that it has not read do not count. */
async function resetting(): Promise<string[]> {
  const command = ['show', '--property=Id,TTYReset', ...promptUnits.map((unit) => `${unit}tty1.service`)];
  const { stdout, failed } = await execa('systemctl', command, { reject: false, timeout: limit });
  if (failed) return [];
  const ids = stdout
    .split('\n\n')
    .flatMap((unit) => (/^TTYReset=yes$/m.test(unit) ? (/^Id=(.*)$/m.exec(unit)?.[1] ?? []) : []));
  return [...new Set(ids)];
}
