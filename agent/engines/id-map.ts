import { readOptional } from '../kernel/read.js';

/** From an id inside a user namespace to the host's; undefined for what is not mapped. */
export type IdMap = (inside: number) => number | undefined;

/** The map of a process's user namespace (user_namespaces(7)): inside, outside, length on each line. */
export function idMap(pid: number, kind: 'uid_map' | 'gid_map'): IdMap {
  const ranges = (readOptional(`/proc/${pid}/${kind}`) ?? '').split('\n').flatMap((line) => {
    const [inside, outside, length] = line.trim().split(/\s+/).map(Number);
    return inside === undefined || outside === undefined || length === undefined ? [] : [{ inside, outside, length }];
  });
  return (id) => {
    const range = ranges.find(({ inside, length }) => id >= inside && id < inside + length);
    return range === undefined ? undefined : range.outside + (id - range.inside);
  };
}
