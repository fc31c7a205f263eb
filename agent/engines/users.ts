import type { Uids } from '../kernel/grant-program.js';
import { readUnlessGone } from '../kernel/read.js';

const slice = /^user-(\d+)\.slice$/;

/** The same path below the systemd of every user that is logged in or lingers (user@.service). */
export const userPaths = (path: readonly RegExp[]): RegExp[][] => [
  [/^user\.slice$/, slice, /^user@\d+\.service$/, ...path],
];

/** Of these paths those that containers of these users (undefined: root's) may have, and no other user's. */
export const pathsFor = (
  paths: readonly (readonly RegExp[])[],
  users: ReadonlySet<string | undefined>,
): (readonly RegExp[])[] =>
  paths.flatMap((path) => {
    if (path[1] !== slice) return users.has(undefined) ? [path] : [];
    const below = path.slice(3);
    return [...users].map((user) => {
      const uid = user === undefined ? '0' : uidOf(user);
      // A user without an account may get one: then a slice comes.
      if (!isUid(uid)) return [/^user\.slice$/, slice, /(?!)/];
      return [/^user\.slice$/, exactly(`user-${uid}.slice`), exactly(`user@${uid}.service`), ...below];
    });
  });

const isUid = (text: string): boolean => /^\d+$/.test(text);

const exactly = (name: string): RegExp => new RegExp(`^${name.replace(/\W/g, '\\$&')}$`);

/**
 * Login name of whose systemd a cgroup belongs to, undefined for the system's own. The slice is the system manager's:
 * a user can make any cgroup below it, and none outside. Root's own session is not told apart from the system.
 */
export function userOf(cgroup: string): string | undefined {
  const uid = cgroup.split('/').flatMap((name) => slice.exec(name)?.[1] ?? [])[0];
  return uid === undefined || uid === '0' ? undefined : (loginName(uid) ?? uid);
}

/** From passwd(5); users of other sources are known by their number. */
const loginName = (uid: string): string | undefined => accounts().find((fields) => fields[2] === uid)?.[0];

/** The number of a user, from any name that `userOf` gives. */
export const uidOf = (user: string): string => accounts().find(([name]) => name === user)?.[2] ?? user;

/** All uids of this machine that processes of a user can have: his own, and his subordinate ones (subuid(5)). */
export function uidsOf(user: string): Uids[] {
  const uid = uidOf(user);
  const own = isUid(uid) ? [{ first: Number(uid), last: Number(uid) }] : [];
  const subordinate = linesOf('/etc/subuid').flatMap((line) => {
    const [name, first, count] = line.split(':');
    if ((name !== user && name !== uid) || !(Number(first) > 0) || !(Number(count) > 0)) return [];
    return [{ first: Number(first), last: Number(first) + Number(count) - 1 }];
  });
  return [...own, ...subordinate];
}

/**
 * Where else than in /etc/subuid this PC has subordinate uids, as nsswitch.conf(5) says it for shadow-utils (`subid: sss`); then
 * we do not know all of a user's. Undefined for the usual files.
 */
export const foreignSubids = (): string | undefined =>
  linesOf('/etc/nsswitch.conf')
    .flatMap((line) => /^\s*subid:\s*([\w-]+)/.exec(line)?.[1] ?? [])
    .find((source) => source !== 'files');

const accounts = (): string[][] => linesOf('/etc/passwd').map((line) => line.split(':'));

/** The texts that were read last, by path. */
const former = new Map<string, string>();

/** Lines of a file; those of before when it cannot be read now: nobody has lost his account by that. */
function linesOf(path: string): string[] {
  try {
    former.set(path, readUnlessGone(path) ?? '');
  } catch (error) {
    if (!former.has(path)) throw error;
  }
  return (former.get(path) ?? '').split('\n');
}
