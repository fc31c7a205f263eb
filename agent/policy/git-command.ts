import { resolve } from 'node:path';
import { leaveService } from '../kernel/cgroup.js';

/** One answer of git may take this long, ms, and have this many bytes. */
const limits = { timeoutMs: 10_000, bytes: 16 * 1024 * 1024 };
/** A process that is not dead this long after it was killed waits for somebody, ms. */
const dying = 1000;

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

/** git has more to say than is taken of it. */
export class TooMuch extends Error {
  override name = 'TooMuch';
}

/** Processes that were killed over a repository and have not ended, by repository. */
const hanging = new Map<string, Set<unknown>>();
/** After so many of them nothing looks at that repository any more. */
const mostHanging = 2;
/** Pids of all that have not ended. */
const living = new Set<number>();

/** At a stop: every process that still looks at a repository is killed, and cannot hold up the end of the service. */
export function abandonGit(): void {
  for (const pid of living) {
    killGroup(pid);
    leaveService(pid);
  }
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
  const where = `git ${command[0]} in ${repository}`;
  // The owner of the repository may have mounted a file system there that does not answer: we look at nothing
  // ourselves.
  const inner = resolve(repository, '.git');
  const bare = (await run(repository, where, 'test', ['-e', inner])).failed;
  const directory = bare ? resolve(repository) : inner;
  const all = [
    ...['core.fsmonitor=false', 'core.hooksPath=/dev/null', 'protocol.allow=never', 'core.pager=cat'],
    ...['core.commitGraph=false', 'advice.graftFileDeprecated=false'],
    ...[`safe.directory=${directory}`, `safe.directory=${resolve(repository)}`],
    ...settings,
  ].flatMap((setting) => ['-c', setting]);
  const words = ['--no-pager', `--git-dir=${directory}`, ...all, ...command];
  const result = await run(repository, where, 'git', words, input);
  if (!result.failed) return Buffer.from(result.stdout);
  if (result.isMaxBuffer) throw new TooMuch(`${where}: more than ${limits.bytes} bytes`);
  const said = Buffer.from(result.stderr).toString('utf8').trim().split('\n')[0] ?? '';
  const message = `${where}: ${said || result.shortMessage}`;
  throw result.exitCode === undefined ? new GitUnavailable(message) : new Error(message);
}

/**
 * A program that looks at a repository. It is waited for until the deadline. A program that does not even die counts
 * against its owner.
 */
async function run(repository: string, where: string, program: string, words: string[], input: string | Buffer = '') {
  const before = hanging.get(repository)?.size ?? 0;
  if (before >= mostHanging) {
    throw new GitUnavailable(`${where}: it does not answer, and holds ${before} processes by now`);
  }
  // A policy in a plain directory needs no program.
  const { execa } = await import('execa');
  const child = execa(program, words, {
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
  const { pid } = child;
  if (pid !== undefined) {
    living.add(pid);
    child.once('exit', () => living.delete(pid));
  }
  let timer: NodeJS.Timeout | undefined;
  // A process that waits for a file system of somebody else may not even die (fuse_dev.c, request_wait_answer).
  const deadline = new Promise<typeof late>((settle) => {
    timer = setTimeout(() => {
      killGroup(child.pid);
      settle(late);
    }, limits.timeoutMs);
  });
  const result = await Promise.race([child, deadline]).finally(() => clearTimeout(timer));
  if (result !== late) return result;
  const held = hanging.get(repository) ?? new Set();
  hanging.set(repository, held.add(child));
  child.once('exit', () => held.delete(child));
  setTimeout(() => held.has(child) && leaveService(child.pid ?? 0), dying).unref();
  throw new GitUnavailable(`${where}: took longer than ${limits.timeoutMs} ms`);
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended a moment ago.
  }
}
