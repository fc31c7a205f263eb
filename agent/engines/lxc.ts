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

/** Whether Incus, or LXD before it, keeps a container of this name; its directories are root's. */
const isIncus = (name: string): boolean =>
  ['/var/lib/incus', '/var/lib/lxd'].some((path) => existsSync(join(path, 'containers', name)));

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
    const name = basename(cgroup).replace(payload, '');
    // A container in the foreground has no such title. Nor has a container whose monitor has died, or one of another engine.
    if (user === undefined && isIncus(name)) return undefined;
    return { name, user };
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
  identify: ({ title }) => {
    const said = parsed(title);
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
