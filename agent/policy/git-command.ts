import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** One answer of git may take this long, ms, and have this many bytes. */
const limits = { timeoutMs: 10_000, bytes: 16 * 1024 * 1024 };

/**
 * Nothing of the agent's own surroundings and no configuration but the repository's is read. GIT_ALLOW_PROTOCOL wins
 * over every `protocol.*` of the repository (git(1)), so that a missing object of a partial clone is fetched by nothing;
 * refs/replace/ cannot put other content behind the commit that was named. Neither grafts nor a commit-graph file can give
 * it other parents (gitrepository-layout(5)). GIT_ALLOC_LIMIT (git's wrapper.c) bounds what one size in a hostile object
 * makes git allocate.
 */
const environment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/nonexistent',
  LC_ALL: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_ALLOW_PROTOCOL: '',
  GIT_NO_LAZY_FETCH: '1',
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_GRAFT_FILE: '/dev/null',
  GIT_OPTIONAL_LOCKS: '0',
  GIT_TERMINAL_PROMPT: '0',
  GIT_ALLOC_LIMIT: '256m',
};

/** git did not come to its end, which need not be the repository's fault: another time it may. */
export class GitUnavailable extends Error {
  override name = 'GitUnavailable';
}

/** Where git keeps what it knows of a repository, bare or not. */
export function gitDirectory(repository: string): string {
  const inner = join(repository, '.git');
  return resolve(existsSync(inner) ? inner : repository);
}

/**
 * What git prints for a command in a repository; `settings` are `key=value` beside its own. Throws what git says, and
 * GitUnavailable when it was killed: at the deadline it is, with every process that it started.
 */
export async function git(
  repository: string,
  command: readonly string[],
  input: string | Buffer = '',
  settings: readonly string[] = [],
): Promise<Buffer> {
  const directory = gitDirectory(repository);
  const all = [
    ...['core.fsmonitor=false', 'core.hooksPath=/dev/null', 'protocol.allow=never', 'core.pager=cat'],
    ...['core.commitGraph=false', 'advice.graftFileDeprecated=false'],
    ...[`safe.directory=${directory}`, `safe.directory=${resolve(repository)}`],
    ...settings,
  ].flatMap((setting) => ['-c', setting]);
  // A policy in a plain directory needs no program.
  const { execa } = await import('execa');
  const child = execa('git', ['--no-pager', `--git-dir=${directory}`, ...all, ...command], {
    cwd: '/',
    env: environment,
    extendEnv: false,
    input,
    encoding: 'buffer',
    // The last byte of a pack may be one.
    stripFinalNewline: false,
    maxBuffer: limits.bytes,
    killSignal: 'SIGKILL',
    // A process group of its own, so that no child of git outlives it.
    detached: true,
    reject: false,
  });
  const late = Symbol();
  let timer: NodeJS.Timeout | undefined;
  // A process that waits for a file system of somebody else may not even die (fuse_dev.c, request_wait_answer).
  const deadline = new Promise<typeof late>((settle) => {
    timer = setTimeout(() => {
      killGroup(child.pid);
      settle(late);
    }, limits.timeoutMs);
  });
  const result = await Promise.race([child, deadline]).finally(() => clearTimeout(timer));
  const where = `git ${command[0]} in ${repository}`;
  if (result === late) throw new GitUnavailable(`${where}: took longer than ${limits.timeoutMs} ms`);
  if (!result.failed) return Buffer.from(result.stdout);
  if (result.isMaxBuffer) throw new Error(`${where}: more than ${limits.bytes} bytes`);
  const said = Buffer.from(result.stderr).toString('utf8').trim().split('\n')[0] ?? '';
  const message = `${where}: ${said || result.shortMessage}`;
  throw result.exitCode === undefined ? new GitUnavailable(message) : new Error(message);
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended a moment ago.
  }
}
