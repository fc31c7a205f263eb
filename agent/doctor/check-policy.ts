import type { EngineFacts, PolicyFacts } from './facts.js';
import { about, type Finding } from './finding.js';

const policy = about('policy');
const engine = about('engines');

/** Whether the policy that is there now is good, and whether the engines that it names are. */
export function checkPolicy({ place, errors, seats }: PolicyFacts, engines: readonly EngineFacts[]): Finding[] {
  const wanted = new Set(seats.map(({ container }) => container.engine));
  return [
    ...errors.map((error) => policy.problem(error, `correct it in ${place}`)),
    ...(errors.length > 0
      ? []
      : [
          policy.ok(
            `${place} is good; seats: ${seats.map(({ seat }) => seat).join(', ') || 'none, all stays on the host'}`,
          ),
        ]),
    ...engines.map(({ engine: name, version }) => engine.ok(`${name}: ${version}`)),
    ...[...wanted]
      .filter((name) => !engines.some((other) => other.engine === name))
      .map((name) => engine.problem(`${name} is not installed, and a seat needs it`, `install ${name}`)),
  ];
}
