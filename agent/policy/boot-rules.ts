import type { Policy } from '../core/policy.js';
import { compileBody, liveFlag } from './udev-rules.js';

/** The files that a boot uses before the agent is up; paths on the host. */
export interface BootGuards {
  /** The link that `systemctl enable` makes: without it the agent does not come with the PC. */
  readonly enabled: string;
  /** Where `systemctl mask` puts a link to /dev/null. */
  readonly unit: string;
  /** The word on the kernel's command line that leaves everything to the host. */
  readonly disable: string;
}

/**
 * A policy as udev rules for the time before the agent has written its own, for a file that sorts right after that of
 * `compileRules`. They say the same of each device, and nothing at all
 *
 * - in an event that the agent's own rules have dealt with. They say so themselves: whether their file exists is another
 *   question, because udevd reads it a moment after it was written;
 * - where the agent does not come with the PC. TEST follows links (udev-rules.c, stat(2)): the link is missing after
 *   `disable`, leads nowhere once the package is removed, and is in no initramfs, into which Debian's hook copies every rule
 *   of /etc. A masked unit is /dev/null, which everybody may write;
 * - with the word on the kernel's command line that leaves everything to the host.
 */
export function compileBootRules(policy: Policy, { enabled, unit, disable }: BootGuards): string {
  return [
    '# Made by Hotseat from the policy that was confirmed last; changes here are overwritten.',
    "# It is for a boot, until the agent's own rules are there: /run/udev/rules.d.",
    `ENV{${liveFlag}}=="1", GOTO="hotseat_end"`,
    `TEST!="${enabled}", GOTO="hotseat_end"`,
    `TEST{0002}=="${unit}", GOTO="hotseat_end"`,
    `IMPORT{cmdline}=="${disable}", ENV{${disable}}="", GOTO="hotseat_end"`,
    compileBody({ ...policy, loans: [] }),
  ].join('\n');
}
