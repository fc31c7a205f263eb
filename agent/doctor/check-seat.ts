import type { SeatStatus } from '../control/messages.js';
import { checkScreen } from './check-screen.js';
import { checkSound } from './check-sound.js';
import { checkStanding } from './check-standing.js';
import type { ContainerFacts, SeatFacts } from './facts.js';
import { about, type Finding } from './finding.js';
import { xorgFindings } from './xorg.js';

/**
 * Whether a seat's container is ready for devices that come and go. `hasOutputs`: it has outputs of a shared graphics card.
 * `said`: the agent's word about the seat; undefined without an agent that names it.
 */
export function checkSeat({ seat, container, found }: SeatFacts, hasOutputs = false, said?: SeatStatus): Finding[] {
  const { ok, warning } = about(`seat ${seat}`);
  if ('absent' in found) return [warning(found.absent, 'start it; its devices wait for it')];
  const needsInput = hasOutputs || found.cards.length > 0 || found.xorg !== undefined;
  const findings = [
    ...(said === undefined ? [] : checkStanding(said, needsInput)),
    ...reach(seat, found),
    ...listeners(seat, found),
    ...trust(seat, found),
  ];
  if (found.xorg !== undefined && 'unread' in found.xorg) {
    const text = `its container's files could not be looked at: ${found.xorg.unread}`;
    findings.push(warning(text, 'look in the container whether a file system does not answer'));
  } else if (found.xorg !== undefined) findings.push(...xorgFindings(seat, found.xorg));
  findings.push(...checkScreen(seat, found, hasOutputs), ...checkSound(seat, found));
  const fine = ok(`${container.engine} container ${container.name} is ready: its init is ${found.init}`);
  return findings.some(({ level }) => level === 'problem') ? findings : [fine, ...findings];
}

/** Whether devices and words about them get in. */
function reach(seat: string, { ungrafted, configured, sharesNetwork }: ContainerFacts): Finding[] {
  const { warning, problem } = about(`seat ${seat}`);
  return [
    ...(sharesNetwork
      ? [
          problem(
            "its container shares the host's network, where an announcement would reach the host",
            'give it a network of its own',
          ),
        ]
      : []),
    ...(ungrafted.length > 0
      ? [
          problem(
            `the seat's directories are not at ${ungrafted.join(', ')}`,
            'the agent grafts them within 30 s: journalctl -u hotseat says why it does not',
          ),
        ]
      : []),
    ...(configured === false
      ? [
          warning(
            'its container is grafted live, a moment after it starts: a program that listens to udev before that is deaf',
            'include hotseat/lxc-seat.conf in its configuration (lxc.include)',
          ),
        ]
      : []),
  ];
}

function listeners(seat: string, { ownUdevd, deaf }: ContainerFacts): Finding[] {
  const { warning, problem } = about(`seat ${seat}`);
  return [
    ...deaf.map((process) => problem(`${process} listens to udev and hears nothing, for good`, 'restart it')),
    ...(ownUdevd
      ? [
          warning(
            "a udevd of its own runs in its container, beside the agent, which brings the host's messages",
            'in the container: systemctl mask systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket',
          ),
        ]
      : []),
  ];
}

function trust(seat: string, { mayEditMaps, mayLeaveCgroup }: ContainerFacts): Finding[] {
  const { warning, problem } = about(`seat ${seat}`);
  return [
    ...(mayLeaveCgroup
      ? [
          problem(
            "its container shares the host's cgroup namespace, and its root could leave the cgroup on which its grants hang",
            'give it a cgroup namespace of its own (--cgroupns private), or make it unprivileged',
          ),
        ]
      : []),
    ...(mayEditMaps
      ? [
          warning(
            'root of its container is root of the host with CAP_SYS_ADMIN, and could edit the map of grants',
            'where that root is not trusted: forbid bpf in its seccomp profile, or make the container unprivileged',
          ),
        ]
      : []),
  ];
}
