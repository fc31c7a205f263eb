import { readOptional } from '../kernel/read.js';
import { ownerOfPidNamespace, userNamespaceOf } from '../kernel/user-namespace.js';

/** From an id inside a user namespace to the host's; undefined for an id that is not mapped. */
export type IdMap = (inside: number) => number | undefined;

/** The map of a process's user namespace (user_namespaces(7)): inside, outside, length on each line. */
function idMap(pid: number, kind: 'uid_map' | 'gid_map'): IdMap {
  const ranges = (readOptional(`/proc/${pid}/${kind}`) ?? '').split('\n').flatMap((line) => {
    const [inside, outside, length] = line.trim().split(/\s+/).map(Number);
    return inside === undefined || outside === undefined || length === undefined ? [] : [{ inside, outside, length }];
  });
  return (id) => {
    const range = ranges.find(({ inside, length }) => id >= inside && id < inside + length);
    return range === undefined ? undefined : range.outside + (id - range.inside);
  };
}

/** Host ids of the root of a container. */
export interface RootIds {
  readonly uid: number;
  readonly gid: number;
}

/** Ids that own nothing and may do nothing (overflowuid, Documentation/admin-guide/sysctl/fs.rst). */
export const nobody: RootIds = { uid: 65534, gid: 65534 };

/** The maps of a container. */
export interface IdMaps {
  readonly uid: IdMap;
  readonly gid: IdMap;
}

const unmapped: IdMap = (id) => id;

/**
 * The maps of the user namespace that owns the container's pid namespace: its init may have gone to another one since.
 * They are read of any process that is there, `members` of the container or ourselves. Undefined when there is none.
 */
export function idMaps(init: number, members: () => readonly number[]): IdMaps | undefined {
  const owner = ownerOfPidNamespace(init);
  if (owner === undefined) return undefined;
  if (owner === userNamespaceOf(process.pid)) return { uid: unmapped, gid: unmapped };
  const isThere = (pid: number) => userNamespaceOf(pid) === owner;
  const witness = isThere(init) ? init : members().find(isThere);
  return witness === undefined ? undefined : { uid: idMap(witness, 'uid_map'), gid: idMap(witness, 'gid_map') };
}

/** Of its root, by these maps. */
export function rootIds(init: number, members: () => readonly number[]): RootIds | undefined {
  const maps = idMaps(init, members);
  const uid = maps?.uid(0);
  const gid = maps?.gid(0);
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}
