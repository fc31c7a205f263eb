import type { BootFacts } from './facts.js';
import { about, type Finding } from './finding.js';

const boot = about('boot');

/** Whether a boot leaves nothing of a seat to the host before the agent runs, and when it does not run. */
export function checkBoot({ seats, muted, wrong, covers, unit, resets, greeted }: BootFacts): Finding[] {
  const findings = [
    ...wrong.map((file) =>
      boot.problem(`${file} differs from the policy that was confirmed last`, 'systemctl restart hotseat'),
    ),
    ...(covers === undefined
      ? []
      : [boot.problem(`${covers} takes the place of the rules that the agent makes`, `rm ${covers}`)]),
    ...(muted ? checkMute(unit, resets) : []),
    ...greeted.map((seat) =>
      boot.warning(
        `logind knows ${seat}: the display manager of the host starts there, and takes its card`,
        'udevadm trigger --subsystem-match=drm; a boot does the same',
      ),
    ),
  ];
  if (findings.length > 0 || !seats) return findings;
  const consoles = muted
    ? 'mutes the consoles before the first login prompt'
    : 'leaves the consoles open, as the policy says';
  return [boot.ok(`a boot gives nothing of a seat to the host, and ${consoles}`)];
}

function checkMute(unit: BootFacts['unit'], resets: readonly string[]): Finding[] {
  const name = 'hotseat-mute.service';
  const findings = resets.map((prompt) =>
    boot.warning(
      `${prompt} has TTYReset=yes: without the agent a login prompt gives its console the keyboard back`,
      `systemctl daemon-reload; if that does not help, systemctl cat ${prompt} shows which file says so`,
    ),
  );
  if (unit?.load === 'not-found') {
    return [...findings, boot.problem(`${name} is not installed`, 'install the package again, or hotseat install')];
  }
  if (unit?.load === 'masked') {
    const text = `${name} is masked: at a boot, login prompts hear every seat until the agent is up`;
    return [...findings, boot.problem(text, `systemctl unmask ${name}`)];
  }
  if (unit?.active === 'failed') {
    const text = `${name} failed, because of ${unit.result}: login prompts heard every seat until the agent was up`;
    return [...findings, boot.problem(text, `journalctl -b -u ${name} says why`)];
  }
  return findings;
}
