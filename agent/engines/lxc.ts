import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Dialect, seatSlice } from './dialect.js';
import { programStream } from './streams/program.js';
import { websocketStream } from './streams/websocket.js';
import { userOf, userPaths } from './users.js';

/** LXC's default `lxc.cgroup.dir` pattern for a container's own processes (lxc.container.conf(5)). */
const payload = /^lxc\.payload\./;

/** Where Incus, and LXD before it, keep their containers: the same library, the same cgroups, another engine. */
const incusPath = /^\/var\/(lib|snap)\/(incus|lxd)(\/.*)?\/containers$/;

/** Where root's engines keep the directories of their containers. */
interface Places {
  readonly lxc: readonly string[];
  readonly incus: readonly string[];
}

const usual: Places = {
  lxc: ['/var/lib/lxc'],
  incus: ['/var/lib/incus', '/var/lib/lxd', '/var/snap/lxd/common/lxd'].map((path) => join(path, 'containers')),
};

const isIn = (places: readonly string[], name: string): boolean =>
  places.some((place) => existsSync(join(place, name)));

/**
 * Whose a container of root's is that has lost its monitor, by the directories of engines, which are root's. Throws when they do not
 * tell: two engines may have one name, and `left-1` may be the group of a second `left`.
 */
export function engineOnDisk(name: string, places = usual): keyof Places {
  const engines = (['lxc', 'incus'] as const).filter((engine) => isIn(places[engine], name));
  const [engine] = engines;
  const [, first] = /^(.+)-\d+$/.exec(name) ?? [];
  const isSecond = first !== undefined && isIn([...places.lxc, ...places.incus], first);
  if (engine === undefined || engines.length > 1 || isSecond)
    throw new Error('its monitor has ended, and the directories of containers do not tell which one it is');
  return engine;
}

const nameOf = (cgroup: string): string => basename(cgroup).replace(payload, '');

/** Containers of LXC: root's, privileged or not, and those that ordinary users start in their own sessions. */
export const lxc: Dialect = {
  engine: 'lxc',
  program: 'lxc-start',
  attachesOnce: true,
  renames: false,
  paths: [[payload], [...seatSlice, payload], ...userPaths([/\.(scope|service|slice)$/, payload])],
  identify: ({ cgroup, title }) => {
    const user = userOf(cgroup);
    const said = parsed(title);
    if (said !== undefined) return incusPath.test(said.path) ? undefined : { name: said.name, user };
    const name = nameOf(cgroup);
    if (user !== undefined) return { name, user };
    const isOthers = title.length === 0 ? engineOnDisk(name) !== 'lxc' : isIn(usual.incus, name);
    // A container in the foreground has another title. So has a container of another engine.
    return isOthers ? undefined : { name, user };
  },
  // Of the default path. A user's containers tell a monitor of that user alone.
  streams: (users) => (users.includes(undefined) ? [programStream('lxc-monitor', '--name', '.*')] : []),
};

/** Events of instances of all projects (Incus' REST API, GET /1.0/events). */
const incusEvents = websocketStream(
  'incusd',
  '/var/lib/incus/unix.socket',
  '/1.0/events?type=lifecycle&all-projects=true',
);

/** Containers of Incus; in a project other than the default one their names are `project_name` (project.Instance). */
export const incus: Dialect = {
  engine: 'incus',
  program: 'incusd',
  attachesOnce: true,
  renames: false,
  paths: [[payload], [...seatSlice, payload]],
  identify: ({ cgroup, title }) => {
    const said = parsed(title);
    if (title.length === 0 && engineOnDisk(nameOf(cgroup)) === 'incus')
      return { name: nameOf(cgroup), user: undefined };
    return said !== undefined && incusPath.test(said.path) ? { name: said.name, user: undefined } : undefined;
  },
  streams: () => [incusEvents],
};

/**
 * Path and name as LXC's monitor, the parent of a container's init, carries them in its title:
 * `[lxc monitor] /var/lib/lxc left` (lxc_monitor's setproctitle). Two paths may hold one name; LXC then numbers the
 * cgroups (`left-1`), so that these tell less.
 */
function parsed([title = '']: readonly string[]): { path: string; name: string } | undefined {
  const [, path, name] = /^\[lxc monitor\] (\S+) (\S+)\s*$/.exec(title) ?? [];
  return path === undefined || name === undefined ? undefined : { path, name };
}
