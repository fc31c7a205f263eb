import { basename } from 'node:path';
import { type Dialect, seatSlice } from './dialect.js';
import { nameOnDisk } from './podman-names.js';
import { fileStream } from './streams/file.js';
import { journalStream } from './streams/program.js';
import type { EventStream } from './streams/stream.js';
import { uidOf, userOf, userPaths } from './users.js';

const id = '[0-9a-f]{64}';
const scope = new RegExp(`^libpod-${id}(\\.scope)?$`);
/** Inside a unit of its own: Quadlet's `--cgroups=split`. */
const split = new RegExp(`^libpod-payload-${id}$`);
const pod = new RegExp(`^machine-libpod_pod_${id}\\.slice$`);

/**
 * What `podman events` reads, unless configured otherwise: the journal, also for users who may read it (libpod/events). Only
 * of these users: anybody may write anything to the journal, but only as who they are (systemd.journal-fields(7)).
 */
const journal = (users: readonly (string | undefined)[]): EventStream =>
  journalStream(
    ...['start', 'died', 'pause', 'unpause'].map((event) => `PODMAN_EVENT=${event}`),
    ...users.map((user) => `_UID=${user === undefined ? 0 : uidOf(user)}`),
  );

/** And the log in the runtime directory of a user who may not read the journal. */
const logOf = (user: string): EventStream => fileStream(`/run/user/${uidOf(user)}`, 'libpod/tmp/events', 'events.log');

/** Longest name that is kept, characters. */
const longestName = 128;

/** A user may call a container anything, in 60 kB. Copied: a part of a text keeps all of it in memory. */
const shortened = (name: string): string =>
  name.length <= longestName ? name : Buffer.from(name.slice(0, longestName)).toString();

const idOf = (cgroup: string): string => /[0-9a-f]{64}/.exec(basename(cgroup))?.[0] ?? '';

/**
 * Containers of Podman, root's and rootless ones: with systemd as cgroup manager or without, in pods, under Quadlet.
 * The name of a container stands on the command line of conmon, the parent of its init (`-n`, libpod's
 * oci_conmon_common.go). A container that is renamed while it runs keeps its former name here until it starts again.
 */
export const podman: Dialect = {
  engine: 'podman',
  program: 'podman',
  attachesOnce: false,
  renames: false,
  paths: [
    [/^machine\.slice$/, scope],
    [/^machine\.slice$/, pod, scope],
    [...seatSlice, scope],
    [/^libpod_parent$/, scope],
    [/^system\.slice$/, /\.service$/, split],
    ...userPaths([/^(user|app)\.slice$/, scope]),
    ...userPaths([/^app\.slice$/, /\.service$/, split]),
  ],
  identify: ({ cgroup, title: [program, ...words] }) => {
    // Of a user's we ask no files: he can write anything there, and the guard goes by his uids as well.
    if (program === undefined && userOf(cgroup) === undefined)
      return { name: shortened(nameOnDisk(idOf(cgroup))), user: undefined };
    const name = words[words.indexOf('-n') + 1];
    if (program === undefined || !program.endsWith('conmon') || !words.includes('-n') || name === undefined) {
      return undefined;
    }
    return { name: shortened(name), user: userOf(cgroup) };
  },
  streams: (users) => [journal(users), ...users.flatMap((user) => (user === undefined ? [] : [logOf(user)]))],
};
