import { chmodSync, mkdirSync, rmdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Logger } from 'pino';
import type { Policy } from '../core/policy.js';
import { readOptional } from '../kernel/read.js';
import { replaceFile, syncDirectory } from '../kernel/replace-file.js';
import { compileBootRules } from '../policy/boot-rules.js';

/**
 * Sorts right after the agent's own rules and before `73-seat-late.rules`. The name is another one: a file in /etc takes the
 * place of one of the same name in /run (udev(7)).
 */
export const bootRulesFile = '/etc/udev/rules.d/72-zzz-hotseat-boot.rules';

/** The link that `systemctl enable` makes. It leads to the agent's unit, in either place of installation. */
export const enabledLink = '/etc/systemd/system/multi-user.target.wants/hotseat.service';

const guards = { enabled: enabledLink, unit: '/etc/systemd/system/hotseat.service', disable: 'hotseat.disable' };

/**
 * Templates of the units of login prompts: the template that starts with the PC, and the template that logind starts at
 * a switch.
 */
export const promptUnits = ['getty@', 'autovt@'] as const;

/**
 * By these systemd leaves a console's keyboard mode as it is when a login prompt starts there. They also say that the policy
 * wants the consoles muted: `hotseat-mute.service` has the first as its condition.
 */
export const promptFiles = promptUnits.map((unit) => `/etc/systemd/system/${unit}.service.d/hotseat.conf`);

const promptText = `# Made by Hotseat, because the policy mutes the text consoles: a reset would give them the keyboards back.
[Service]
TTYReset=no
`;

/** The files that a policy has for a boot, by path; undefined: there must be none. */
export function bootFiles(policy: Policy): ReadonlyMap<string, string | undefined> {
  const seats = policy.seats.length > 0;
  const muted = seats && policy.console === 'mute';
  return new Map([
    [bootRulesFile, seats ? compileBootRules(policy, guards) : undefined],
    ...promptFiles.map((file) => [file, muted ? promptText : undefined] as const),
  ]);
}

/** Keeps the files that a boot uses in agreement with the last confirmed policy. */
export class AtBoot {
  constructor(private readonly log: Logger) {}

  /** Writes files that are missing or differ, and removes others. Failures are logged, and `doctor` reports them. */
  keep(policy: Policy): void {
    try {
      const changed = [...bootFiles(policy)].filter(([file, text]) => put(file, text)).map(([file]) => file);
      if (changed.length === 0) return;
      this.log.info({ files: changed }, 'files for the next boot are written');
      if (changed.some((file) => promptFiles.includes(file))) void this.tellSystemd();
    } catch (error) {
      this.log.error(
        { err: error },
        'files for the next boot could not be written: until the agent runs, that boot goes by a former policy or none',
      );
    }
  }

  /** A login prompt that starts later in this boot goes by the files as well. Until then the agent mutes again. */
  private async tellSystemd(): Promise<void> {
    if (readOptional('/proc/1/comm')?.trim() !== 'systemd') return;
    try {
      const { execa } = await import('execa');
      await execa('systemctl', ['daemon-reload'], { timeout: 60_000 });
    } catch (error) {
      this.log.warn({ err: error }, 'systemd was not told of its new files: systemctl daemon-reload tells it');
    }
  }
}

/** Removes everything that a boot would go by. */
export function forgetAtBoot(): void {
  for (const file of [bootRulesFile, ...promptFiles]) put(file, undefined);
}

/**
 * Gives a file its wanted text, so that a power cut leaves the former text or the new one; returns whether it changed.
 */
function put(file: string, text: string | undefined): boolean {
  if (readOptional(file) === text) return false;
  const directory = dirname(file);
  if (text === undefined) {
    rmSync(file, { force: true });
    syncDirectory(directory);
    removeEmpty(directory);
    return true;
  }
  const made = mkdirSync(directory, { recursive: true });
  // It does not depend on the agent's umask: everybody may read these files of systemd and udevd.
  if (made !== undefined) chmodSync(directory, 0o755);
  replaceFile(file, text, { flush: true, mode: 0o644 });
  return true;
}

/** A unit's directory of drop-ins that was made for ours goes with it. */
function removeEmpty(directory: string): void {
  if (!directory.endsWith('.service.d')) return;
  try {
    rmdirSync(directory);
  } catch {
    // The admin has a file in it.
  }
}
