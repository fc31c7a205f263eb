import type { DeviceNumber } from '../core/device.js';
import { readUpTo } from './read.js';

/** Major number of graphics cards (include/uapi/drm, DRM_MAJOR). */
const drmMajor = 226;
/** A line takes some 70 bytes: with more than this many nobody asks who the last one is. */
const mostBytes = 256 * 1024;

/**
 * Everybody who has a graphics card open, in words, as the kernel itself counts: also those whose descriptor lies in a message,
 * in an io_uring or in a mapping. Undefined when it does not tell: no debugfs, or the numbers are of no card.
 * `read` gets the path of such a list in debugfs; undefined when it is not there.
 */
export function drmClients(
  numbers: readonly DeviceNumber[],
  read: (path: string) => string | undefined = (path) => readUpTo(path, mostBytes),
): string[] | undefined {
  const clients = new Set<string>();
  for (const { major, minor } of numbers) {
    const list = major === drmMajor ? readList(read, minor) : undefined;
    const named = list === undefined ? undefined : clientsIn(list);
    if (named === undefined) return undefined;
    for (const one of named) clients.add(one);
  }
  return numbers.length === 0 ? undefined : [...clients];
}

function readList(read: (path: string) => string | undefined, minor: number): string | undefined {
  try {
    return read(`/sys/kernel/debug/dri/${minor}/clients`);
  } catch {
    return undefined; // too long
  }
}

/**
 * Command, process, minor, master, authenticated, user, magic (drivers/gpu/drm/drm_debugfs.c, drm_clients_info). A command can
 * look like all of that: the last fields of its line are the kernel's own. Behind them is nothing with a blank inside.
 */
const client = /^ *(.*) +(\d+) +\d+ +[yn] +[yn] +\d+ +\d+/gm;

/**
 * A command can hold line breaks: a line that cannot be read counts as somebody as well. So is this process, which
 * opens no card itself: the kernel names the process that opened it, and a pid may be another's by now.
 */
function clientsIn(list: string): string[] | undefined {
  const [heading = '', ...lines] = list.split('\n');
  if (!heading.includes('command')) return undefined;
  const rest = lines.join('\n');
  if (rest.trim() === '') return [];
  const found = [...rest.matchAll(client)].map(([, command = '', pid = '']) => `${command.trim()} (pid ${pid})`);
  return found.length === 0 ? ['an unknown process'] : found;
}
