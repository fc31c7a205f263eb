import { readOptional } from '../kernel/read.js';

const slice = /^user-(\d+)\.slice$/;

/** The same path below the systemd of every user that is logged in or lingers (user@.service). */
export const userPaths = (path: readonly RegExp[]): RegExp[][] => [
  [/^user\.slice$/, slice, /^user@\d+\.service$/, ...path],
];

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

/** The number of a user, by whichever `userOf` calls it. */
export const uidOf = (user: string): string => accounts().find(([name]) => name === user)?.[2] ?? user;

const accounts = (): string[][] => (readOptional('/etc/passwd') ?? '').split('\n').map((line) => line.split(':'));
