import type { CardFacts, ContainerFacts } from './facts.js';
import { about, type Finding } from './finding.js';

/** Why a screen may be black. A container without an Xorg needs none; with outputs of a shared card it needs no card. */
export function checkScreen(
  seat: string,
  { cards, xorg }: Pick<ContainerFacts, 'cards' | 'xorg'>,
  hasOutputs: boolean,
): Finding[] {
  if (cards.length === 0 && xorg !== undefined && !hasOutputs) {
    return [
      about(`seat ${seat}`).warning(
        'it has no graphics card, and an Xorg is installed in its container: its screen stays black',
        'hotseat devices shows all cards; a rule with the place of one gives it to the seat',
      ),
    ];
  }
  return cards.flatMap((card) => ofCard(seat, card));
}

function ofCard(seat: string, { card, outputs, openedBy }: CardFacts): Finding[] {
  const { warning } = about(`seat ${seat}`);
  const connected = outputs.filter(({ isConnected }) => isConnected);
  if (connected.length === 0) {
    const sockets = outputs.map(({ name }) => name).join(', ') || 'it has no output';
    return [
      warning(
        `no monitor is connected to ${card} (${sockets})`,
        'look at the cable, and whether the monitor is on and shows this input',
      ),
    ];
  }
  if (openedBy.length === 0) {
    return [
      warning(
        `no program of its container has ${card} open: nothing is drawn there`,
        'start the display server in the container; its log says why it does not run (/var/log/Xorg.0.log)',
      ),
    ];
  }
  return connected
    .filter(({ isLit }) => !isLit)
    .map(({ name }) =>
      warning(
        `a monitor is connected to ${name} of ${card}, and ${openedBy.join(', ')} shows nothing on it`,
        'in the container: xrandr --auto; a monitor that sleeps wakes at a key',
      ),
    );
}
