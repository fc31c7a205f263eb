import { basename } from 'node:path';
import { readOptional } from '../kernel/read.js';
import { type Dialect, seatSlice } from './dialect.js';
import { httpStream } from './streams/http.js';

const id = '[0-9a-f]{64}';
const scope = new RegExp(`^docker-(${id})\\.scope$`);
const plain = new RegExp(`^(${id})$`);

/** Events of containers, without those about a command that runs in a container (Docker Engine API, GET /events). */
const filters = { type: ['container'], event: ['start', 'die', 'pause', 'unpause', 'rename'] };
const events = httpStream(
  'dockerd',
  '/run/docker.sock',
  `/events?filters=${encodeURIComponent(JSON.stringify(filters))}`,
);

/**
 * Containers of Docker, with any cgroup driver. Their names stand in Docker's own files, so that its daemon need not be
 * asked: `containers/ID/config.v2.json` below its data root, `"Name": "/left"` (daemon/container.go).
 */
export const docker: Dialect = {
  engine: 'docker',
  program: 'dockerd',
  attachesOnce: false,
  renames: true,
  paths: [
    [/^system\.slice$/, scope],
    [...seatSlice, scope],
    [/^docker$/, plain],
  ],
  identify: ({ cgroup }) => {
    const unit = basename(cgroup);
    const container = (scope.exec(unit) ?? plain.exec(unit))?.[1];
    const file = `${dataRoot()}/containers/${container}/config.v2.json`;
    const name = textOf(file, 'Name')?.replace(/^\//, '');
    return name === undefined ? undefined : { name, user: undefined };
  },
  streams: () => [events],
};

/** `data-root` of the daemon's configuration (dockerd(8)). */
const dataRoot = (): string => textOf('/etc/docker/daemon.json', 'data-root') ?? '/var/lib/docker';

/** A text in a JSON object in a file; undefined when the file is not there or says something else. */
function textOf(file: string, key: string): string | undefined {
  const text = readOptional(file);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${file} is not JSON: ${(error as Error).message}`);
  }
  const found = typeof value === 'object' && value !== null ? Object.entries(value).find(([name]) => name === key) : [];
  return typeof found?.[1] === 'string' ? found[1] : undefined;
}
