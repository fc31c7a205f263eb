import { existsSync } from 'node:fs';
import { runs } from '../engines/process.js';

const socketPath = '/var/lib/incus/unix.socket';

/** Longest that Incus may take for an answer, ms, and longest answer that is read, bytes. */
const limit = { ms: 15_000, bytes: 8 * 1024 * 1024 };

/** An instance as Incus has it. */
export interface Instance {
  readonly project: string;
  readonly name: string;
  readonly config: Readonly<Record<string, string>>;
  /** With the keys of its profiles. */
  readonly expanded: Readonly<Record<string, string>>;
}

/** An instance; undefined when there is none of that name. */
export async function instance(project: string, name: string): Promise<Instance | undefined> {
  const { status, body } = await call('GET', pathOf(project, name));
  if (status === 404) return undefined;
  return instanceIn(metadataOf(status, body));
}

/** All instances of all projects; none where Incus does not run. */
export async function instances(): Promise<Instance[]> {
  if (!existsSync(socketPath) || !runs('incusd')) return [];
  const { status, body } = await call('GET', '/1.0/instances?recursion=1&all-projects=true');
  const found = metadataOf(status, body);
  return Array.isArray(found) ? found.map(instanceIn) : [];
}

/** Changes keys of an instance's configuration, which takes effect at once; an empty value removes a key. */
export async function patch(
  { project, name }: Pick<Instance, 'project' | 'name'>,
  config: Readonly<Record<string, string>>,
): Promise<void> {
  const { status, body } = await call('PATCH', pathOf(project, name), JSON.stringify({ config }));
  metadataOf(status, body);
}

const pathOf = (project: string, name: string): string =>
  `/1.0/instances/${encodeURIComponent(name)}?project=${encodeURIComponent(project)}`;

/** The answer within its envelope (Incus, REST API, return values), or Incus's own words for why there is none. */
function metadataOf(status: number, body: unknown): unknown {
  if (status === 200 && isObject(body)) return body['metadata'];
  const error = isObject(body) && typeof body['error'] === 'string' ? body['error'] : `it answers ${status}`;
  throw new Error(`Incus: ${error}`);
}

function instanceIn(value: unknown): Instance {
  if (!isObject(value) || typeof value['name'] !== 'string') throw new Error('Incus: this is no instance');
  const project = typeof value['project'] === 'string' ? value['project'] : 'default';
  return { project, name: value['name'], config: texts(value['config']), expanded: texts(value['expanded_config']) };
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

const texts = (value: unknown): Record<string, string> =>
  Object.fromEntries(
    Object.entries(isObject(value) ? value : {}).flatMap(([key, text]) =>
      typeof text === 'string' ? [[key, text] as const] : [],
    ),
  );

/** Asks Incus by its socket, and only while it runs: systemd would start it for a client that connects. */
async function call(method: string, path: string, body?: string): Promise<{ status: number; body: unknown }> {
  if (!runs('incusd')) throw new Error('Incus does not run: systemctl start incus');
  const { request } = await import('node:http');
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(limit.ms);
    const headers = { host: 'localhost', ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
    const asked = request({ socketPath, path, method, agent: false, signal, headers }, (answer) => {
      const parts: Buffer[] = [];
      let length = 0;
      answer.on('data', (part: Buffer) => {
        length += part.length;
        if (length > limit.bytes) asked.destroy(new Error(`Incus: an answer is longer than ${limit.bytes} bytes`));
        else parts.push(part);
      });
      answer.on('error', reject);
      answer.on('end', () => {
        try {
          resolve({ status: answer.statusCode ?? 0, body: JSON.parse(Buffer.concat(parts).toString()) as unknown });
        } catch {
          reject(new Error('Incus: its answer is not JSON'));
        }
      });
    });
    asked.on('error', (error) =>
      reject(signal.aborted ? new Error(`Incus does not answer within ${limit.ms / 1000} s`) : error),
    );
    asked.end(body);
  });
}
