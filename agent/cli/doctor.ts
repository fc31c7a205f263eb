import type { Finding } from '../doctor/finding.js';
import { json, print } from './answer.js';
import { bad, good, type Line, soon, type Toned } from './line.js';
import { defaultPolicies } from './run.js';
import type { Call, ExitCode, Verb } from './verb.js';

/** `hotseat doctor`: needs no running agent, and says so when there is none. Exits 1 when anything is a problem. */
export const doctor: Verb = {
  summary: 'look at kernel, udev, service, policy, engines and containers; say what is wrong and what helps',
  usage: 'doctor [--json]',
  options: json,
  examples: [
    { line: 'doctor', help: 'as root; exits with 1 when anything is a problem' },
    { line: `doctor --json | jq -r '.[] | select(.level == "problem") | .remedy'`, help: 'only the remedies' },
  ],
  run: async (call: Call): Promise<ExitCode> => {
    // Loaded here, so that no other verb pays for it.
    const { examine } = await import('../doctor/doctor.js');
    const findings = await examine(defaultPolicies);
    print(call, findings, (all) => all.flatMap(lines));
    return findings.some(({ level }) => level === 'problem') ? 1 : 0;
  },
};

const words: Readonly<Record<Finding['level'], (text: string) => Toned>> = { ok: good, warning: soon, problem: bad };

function lines(finding: Finding): Line[] {
  const { level, area, text } = finding;
  const first: Line = [words[level](level), `${' '.repeat(9 - level.length)}${area}: ${text}`];
  return finding.level === 'ok' ? [first] : [first, `         ${' '.repeat(area.length)}  ${finding.remedy}`];
}
