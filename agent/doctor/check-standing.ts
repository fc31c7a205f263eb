import type { SeatStatus } from '../control/messages.js';
import { about, type Finding } from './finding.js';

/**
 * Why the agent gives nothing to a container that runs, and whether anybody can type there. `needsInput`: the seat draws, or
 * could. A seat without a screen needs no keyboard.
 */
export function checkStanding({ seat, state, reason, devices, unmatched }: SeatStatus, needsInput: boolean): Finding[] {
  const { warning, problem } = about(`seat ${seat}`);
  switch (state) {
    case 'waiting':
      return [problem(`the agent gives its container nothing: ${reason ?? 'no reason'}`, 'hotseat status tells more')];
    case 'unclear':
      return [
        problem(
          'nobody can tell who root of its container is: the container is guarded, and gets nothing',
          'start the container again: its init has left its user namespace',
        ),
      ];
    case 'setup':
      return [warning('its engine still sets its container up', 'wait; its devices come when its init runs')];
    case 'frozen':
      return [warning('its container is frozen: its programs stand still', 'thaw it with the tools of its engine')];
    case 'running':
      break;
  }
  if (!needsInput || devices.some(({ node }) => node?.startsWith('/dev/input/'))) return [];
  const idle =
    unmatched.length === 0
      ? ''
      : `; rules that have matched nothing: ${unmatched.map(({ place }) => place).join(', ')}`;
  return [
    warning(
      `it has no input device${idle}`,
      `plug one in; hotseat devices shows all, and hotseat identify ${seat} proposes a rule for the device that you touch`,
    ),
  ];
}
