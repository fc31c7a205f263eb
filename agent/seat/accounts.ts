import type { Accounts } from '../core/access.js';
import { type IdMap, idMap } from '../engines/id-map.js';
import type { Namespaces } from '../kernel/namespaces.js';
import type { ProcessRef } from '../kernel/process-key.js';

/** Longer than this no list of accounts is; a container's file is not ours to trust. Bytes. */
const longest = 1024 * 1024;

/** Nobody runs that could have accounts. */
export const noAccounts: Accounts = { user: () => undefined, group: () => undefined };

/** Users and groups as the container of this init has them: passwd(5), group(5), and its user namespace's maps. */
export async function accountsOf(namespaces: Namespaces, init: ProcessRef): Promise<Accounts> {
  // Before its files: a process that is still there by then had its pid now.
  const maps = { uid: idMap(init.pid, 'uid_map'), gid: idMap(init.pid, 'gid_map') };
  const passwd = await namespaces.readFile(init, 'etc/passwd', longest);
  const group = await namespaces.readFile(init, 'etc/group', longest);
  return { user: reader(passwd, maps.uid), group: reader(group, maps.gid) };
}

/** `name:password:id:...` a line; the first of a name counts, as for getpwnam(3). A number needs no line. */
export function reader(text: string | undefined, map: IdMap): (name: string) => number | undefined {
  const ids = new Map<string, number>();
  for (const line of (text ?? '').split('\n')) {
    const [name, , id] = line.split(':');
    if (name !== undefined && id !== undefined && /^\d{1,10}$/.test(id) && !ids.has(name)) ids.set(name, Number(id));
  }
  return (name) => {
    const id = /^\d+$/.test(name) ? Number(name) : ids.get(name);
    return id === undefined ? undefined : map(id);
  };
}
