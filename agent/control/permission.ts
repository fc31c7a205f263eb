import { ControlError } from '../core/refusal.js';
import type { Peer } from '../kernel/peer.js';
import type { Request } from './messages.js';

/** Groups of the host whose members may ask: for anything, and for requests that change nothing. */
export const permitted = { all: 'hotseat-admin', reading: 'hotseat' } as const;

/** Number of a group of the host by its name. */
type GroupOf = (name: string) => number | undefined;

/**
 * Why a client may not ask for this, undefined when it may. Root and the members of `hotseat-admin` may do everything.
 * Requests that change nothing are for everybody, as `loginctl` and `udevadm` answer everybody; where there is a group
 * `hotseat`, they are for its members.
 */
export function refusal(verb: Request['verb'], peer: Peer, groupOf: GroupOf): ControlError | undefined {
  const isIn = (name: string): boolean => {
    const gid = groupOf(name);
    return gid !== undefined && peer.groups.includes(gid);
  };
  if (peer.uid === 0 || isIn(permitted.all)) return undefined;
  if (isForAdmins(verb)) return refused(verb, permitted.all, groupOf);
  return groupOf(permitted.reading) === undefined || isIn(permitted.reading)
    ? undefined
    : refused(verb, permitted.reading, groupOf);
}

function refused(verb: string, group: string, groupOf: GroupOf): ControlError {
  const make = groupOf(group) === undefined ? [`as root: groupadd --system ${group}`] : [];
  return new ControlError('not-permitted', `${verb} is for root and for members of the group ${group}`, [
    ...make,
    `as root: usermod --append --groups ${group} NAME; it counts from the next login on`,
  ]);
}

/** Requests that change something, and `plan`, for which git is run as root. */
export function isForAdmins(verb: Request['verb']): boolean {
  switch (verb) {
    case 'reload':
    case 'confirm':
    case 'attach':
    case 'detach':
    case 'plan':
    case 'identify':
      return true;
    case 'status':
    case 'watch':
    case 'devices':
    case 'explain':
    case 'explain-shares':
    case 'record':
    case 'metrics':
    case 'wait':
      return false;
  }
}
