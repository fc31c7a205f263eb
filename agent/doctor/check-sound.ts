import type { ContainerFacts } from './facts.js';
import { about, type Finding } from './finding.js';

/** Why a seat may have no sound. A container in which nothing plays needs none. */
export function checkSound(seat: string, { sound }: Pick<ContainerFacts, 'sound'>): Finding[] {
  const { warning } = about(`seat ${seat}`);
  const { servers, cards, refused, taken } = sound;
  return [
    ...(servers.length > 0 && cards.length === 0
      ? [
          warning(
            `it has no sound card, and ${servers.join(', ')} runs in its container`,
            'hotseat devices shows all cards; hotseat explain DEVICE says why one is where it is',
          ),
        ]
      : []),
    ...refused.map(({ server, node }) =>
      warning(
        `${server} may not open ${node}: its user is not in the group of the node`,
        'in the container: usermod --append --groups audio USER, and start the session again',
      ),
    ),
    ...taken.map(({ card, by }) =>
      warning(
        `${card} plays for ${by}, which is not in its container, and can play for nobody else at once`,
        'stop that program, or give each seat a card of its own',
      ),
    ),
  ];
}
