import type { Accounts } from '../core/access.js';
import { type IdMap, type IdMaps, idMaps } from '../engines/id-map.js';
import { someBelow } from '../engines/process.js';
import { cgroupOf } from '../kernel/cgroup.js';
import type { Namespaces } from '../kernel/namespaces.js';
import type { ProcessRef } from '../kernel/process-key.js';

/** Longer than this no list of accounts is; a container's file is not ours to trust. Bytes. */
const longest = 1024 * 1024;

/** Nobody runs that could have accounts. */
export const noAccounts: Accounts = { user: () => undefined, group: () => undefined };

/** Nobody can tell whose an id is. */
const nobodys: IdMaps = { uid: () => undefined, gid: () => undefined };

/** Users and groups as the container of this init has them: passwd(5), group(5), and its maps. */
export async function accountsOf(namespaces: Namespaces, init: ProcessRef): Promise<Accounts> {
  // Before its files: a process that is still there by then had its pid now.
  const cgroup = cgroupOf(init.pid);
  const maps = idMaps(init.pid, () => (cgroup === undefined ? [] : someBelow(cgroup))) ?? nobodys;
  const passwd = await namespaces.readFile(init, 'etc/passwd', longest);
  const group = await namespaces.readFile(init, 'etc/group', longest);
  return { user: reader(passwd, maps.uid), group: reader(group, maps.gid) };
}

/**
 * `name:password:id:...` a line; the first of a name counts, as for getpwnam(3). A number needs no line. Only the lines of
 * names that are asked for are looked at: a container can have a file of 200,000.
 */
export function reader(text: string | undefined, map: IdMap): (name: string) => number | undefined {
  const lines = `\n${text ?? ''}`;
  const known = new Map<string, number | undefined>();
  return (name) => {
    if (!/^\d+$/.test(name) && !known.has(name)) known.set(name, idOf(lines, name));
    const id = known.has(name) ? known.get(name) : Number(name);
    return id === undefined ? undefined : map(id);
  };
}

function idOf(lines: string, name: string): number | undefined {
  const line = `\n${name}:`;
  for (let at = lines.indexOf(line); at >= 0; at = lines.indexOf(line, at + line.length)) {
    const end = lines.indexOf('\n', at + 1);
    const [, , id] = lines.slice(at + 1, end < 0 ? undefined : end).split(':', 3);
    if (id !== undefined && /^\d{1,10}$/.test(id)) return Number(id);
  }
  return undefined;
}
