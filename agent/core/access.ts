import { isRenderNode, type SeatSubsystem } from './device.js';
import type { Rule } from './policy.js';

/** Who may open a node, as host ids and octal bits. */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/**
 * The accounts of a container, from its own names (or numbers) to host ids; undefined for accounts that it does not
 * have, or that its user namespace does not map.
 */
export interface Accounts {
  user(name: string): number | undefined;
  group(name: string): number | undefined;
}

/** A name of policy's that a container does not have: said, and root takes its place. */
export interface Unknown {
  readonly what: 'user' | 'group';
  readonly name: string;
}

/** The groups that Debian's own udev gives such nodes to (systemd, 50-udev-default.rules). */
function usualGroup(subsystem: SeatSubsystem, sysname: string): string {
  switch (subsystem) {
    case 'input':
    // udev gives hidraw nodes to nobody but root; a user who may read the inputs of a device may read it whole.
    case 'hidraw':
      return 'input';
    case 'sound':
      return 'audio';
    // Debian's packages of NVIDIA's driver, and systemd's rule for AMD's node.
    case 'plain':
      return sysname === 'kfd' ? 'render' : 'video';
    case 'drm':
      return isRenderNode(sysname) ? 'render' : 'video';
  }
}

const usualMode = 0o660;

/**
 * Owner, group and mode of a node in a container: as the rule says, and otherwise as a desktop of its own would have
 * them, so that an Xorg, a PipeWire or a game without root can open the devices of its seat.
 */
export function accessOf(
  { access }: Pick<Rule, 'access'>,
  subsystem: SeatSubsystem,
  sysname: string,
  accounts: Accounts,
  unknown: (name: Unknown) => void,
): Ownership {
  const root = { uid: accounts.user('0') ?? 0, gid: accounts.group('0') ?? 0 };
  const uid = access.owner === undefined ? root.uid : accounts.user(access.owner);
  const gid = accounts.group(access.group ?? usualGroup(subsystem, sysname));
  if (uid === undefined && access.owner !== undefined) unknown({ what: 'user', name: access.owner });
  if (gid === undefined && access.group !== undefined) unknown({ what: 'group', name: access.group });
  return { uid: uid ?? root.uid, gid: gid ?? root.gid, mode: access.mode ?? usualMode };
}
