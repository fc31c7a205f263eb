import { join } from 'node:path';
import { directoriesIn, readUpTo } from '../kernel/read.js';

/** Where root's Podman keeps its containers, and those that do not outlive a boot (containers-storage.conf(5)). */
const storages = ['/var/lib/containers/storage', '/run/containers/storage'];

/** In a directory for each storage driver, such as `overlay-containers`; the second has those of `--rm` (containers/storage, containers.go). */
const lists = ['containers.json', 'volatile-containers.json'];

/** Longest list that is read, bytes. */
const longest = 16 * 1024 * 1024;

/**
 * The name of a container of root's by its id, from Podman's own files, which only root writes. Throws when they do not tell.
 */
export function nameOnDisk(id: string, places: readonly string[] = storages): string {
  for (const place of places) {
    for (const directory of directoriesIn(place).filter((name) => name.endsWith('-containers'))) {
      for (const list of lists) {
        const name = nameIn(readUpTo(join(place, directory, list), longest) ?? '[]', id);
        if (name !== undefined) return name;
      }
    }
  }
  throw new Error(`its conmon has ended, and no list in ${places.join(' or ')} has it`);
}

function nameIn(text: string, id: string): string | undefined {
  const list: unknown = JSON.parse(text);
  const entries: unknown[] = Array.isArray(list) ? list : [];
  for (const entry of entries) {
    if (typeof entry !== 'object' || entry === null || !('id' in entry) || entry.id !== id) continue;
    const [name]: unknown[] = 'names' in entry && Array.isArray(entry.names) ? entry.names : [];
    if (typeof name === 'string') return name;
  }
  return undefined;
}
