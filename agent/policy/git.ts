import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { formatDiagnostic } from './diagnostics.js';
import { type Loaded, largest, problem, seatFileName, type Text, textOf, tooLarge } from './files.js';
import { compose } from './load.js';

/** Where the policy comes from: a repository, which its owner may have filled with anything, and a ref of it. */
export interface GitSource {
  readonly repository: string;
  readonly ref: string;
  /** ssh-keygen(1) ALLOWED SIGNERS; when given, only commits that one of them signed are taken. */
  readonly signers: string | undefined;
}

/** One answer of git may take this long, ms, and have this many bytes; a policy has this many seat files. */
const limits = { timeoutMs: 10_000, bytes: 16 * 1024 * 1024, files: 200 };

/**
 * Nothing of the agent's own surroundings and no configuration but the repository's is read. GIT_ALLOW_PROTOCOL wins
 * over every `protocol.*` of the repository (git(1)), so that a missing object of a partial clone is fetched by nothing;
 * refs/replace/ cannot put other content behind the commit that was named. Neither grafts nor a commit-graph file can give
 * it other parents (gitrepository-layout(5)).
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
};

/** git did not come to its end, which need not be the repository's fault: another time it may. */
export class GitUnavailable extends Error {
  override name = 'GitUnavailable';
}

/** The commit that a ref of the repository, or any other name of a commit, stands for now. */
export async function resolveCommit({ repository, ref }: GitSource): Promise<string> {
  const answer = await git(repository, ['rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`]);
  const commit = answer.toString('latin1').trim();
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(commit)) throw new Error(`${ref} names no commit of ${repository}`);
  return commit;
}

/** Whether a commit is the other one or among its ancestors. Throws when the repository does not have both. */
export async function isAncestor(repository: string, ancestor: string, commit: string): Promise<boolean> {
  const missing = await git(repository, ['rev-list', '--max-count=1', '--end-of-options', ancestor, `^${commit}`]);
  return missing.length === 0;
}

/** The seat files of one commit as a policy: all of them or none. No work tree, index, hook or filter takes part. */
export async function loadCommit(source: GitSource, commit: string, host: string): Promise<Loaded> {
  if (source.signers !== undefined) await verify(source.repository, commit, source.signers);
  const tree = (await git(source.repository, ['ls-tree', '-z', '-l', '--full-tree', commit])).toString('utf8');
  const wanted: { name: string; object: string }[] = [];
  const diagnostics = [];
  for (const line of tree.split('\0').filter((text) => text !== '')) {
    const [, mode, object, size, name] = /^(\d+) \w+ ([0-9a-f]+) +(\d+|-|BAD)\t(.*)$/s.exec(line) ?? [];
    if (mode === undefined || object === undefined || name === undefined) throw new Error(`git ls-tree said ${line}`);
    const fit = seatFileName(name);
    if (fit === undefined) continue;
    if (typeof fit !== 'string') diagnostics.push(fit);
    else if (!/^100(644|755)$/.test(mode))
      diagnostics.push(problem(name, 'is no plain file', 'commit the file itself'));
    // ls-tree goes on over an object that it cannot find; a policy without that seat is not what was committed.
    else if (size === 'BAD') diagnostics.push(problem(name, 'its object is missing', 'run git fsck, fetch it again'));
    else if (Number(size) > largest) diagnostics.push(tooLarge(name, Number(size)));
    else wanted.push({ name, object });
  }
  if (wanted.length > limits.files) {
    diagnostics.push(problem('.', `${wanted.length} seat files`, `keep at most ${limits.files}`));
  }
  if (diagnostics.length > 0) return { ok: false, diagnostics };
  const texts: Text[] = [];
  for (const { name, bytes } of await blobs(source.repository, wanted)) {
    const text = textOf(name, bytes);
    if (typeof text === 'string') texts.push({ name, text });
    else diagnostics.push(text);
  }
  return diagnostics.length > 0 ? { ok: false, diagnostics } : compose(texts, commit, host);
}

async function blobs(
  repository: string,
  wanted: readonly { readonly name: string; readonly object: string }[],
): Promise<{ name: string; bytes: Buffer }[]> {
  if (wanted.length === 0) return [];
  const answer = await git(repository, ['cat-file', '--batch'], wanted.map(({ object }) => `${object}\n`).join(''));
  let at = 0;
  return wanted.map(({ name, object }) => {
    // git-cat-file(1), BATCH OUTPUT: `<oid> blob <size>\n<contents>\n`
    const end = answer.indexOf('\n', at);
    const [, size] = /^[0-9a-f]+ blob (\d+)$/.exec(answer.toString('latin1', at, end)) ?? [];
    if (size === undefined) throw new Error(formatDiagnostic(problem(name, `object ${object} is missing`, 'git fsck')));
    at = end + 1 + Number(size) + 1;
    return { name, bytes: answer.subarray(end + 1, at - 1) };
  });
}

/** Only SSH signatures count: each program that the repository could name for another kind is one that says no. */
async function verify(repository: string, commit: string, signers: string): Promise<void> {
  const programs = ['gpg.program', 'gpg.openpgp.program', 'gpg.x509.program'].flatMap((key) => ['-c', `${key}=false`]);
  const ssh = ['-c', 'gpg.format=ssh', '-c', 'gpg.ssh.program=ssh-keygen', '-c', 'gpg.minTrustLevel=fully'];
  const files = ['-c', `gpg.ssh.allowedSignersFile=${resolve(signers)}`, '-c', 'gpg.ssh.revocationFile='];
  try {
    await git(repository, ['verify-commit', commit], undefined, [...programs, ...ssh, ...files]);
  } catch (error) {
    if (error instanceof GitUnavailable) throw error;
    throw new Error(`commit ${commit} is not signed by a key in ${signers}: sign it, or add the key`, { cause: error });
  }
}

/** Where git keeps what it knows of a repository, bare or not. */
export function gitDirectory(repository: string): string {
  const inner = join(repository, '.git');
  return resolve(existsSync(inner) ? inner : repository);
}

async function git(repository: string, command: readonly string[], input = '', more: readonly string[] = []) {
  const directory = gitDirectory(repository);
  const settings = [
    ...['core.fsmonitor=false', 'core.hooksPath=/dev/null', 'protocol.allow=never', 'core.pager=cat'],
    'core.commitGraph=false',
    ...[`safe.directory=${directory}`, `safe.directory=${resolve(repository)}`],
  ].flatMap((setting) => ['-c', setting]);
  // A policy in a plain directory needs no program.
  const { execa } = await import('execa');
  const result = await execa('git', ['--no-pager', `--git-dir=${directory}`, ...settings, ...more, ...command], {
    cwd: '/',
    env: environment,
    extendEnv: false,
    input,
    encoding: 'buffer',
    maxBuffer: limits.bytes,
    timeout: limits.timeoutMs,
    killSignal: 'SIGKILL',
    reject: false,
  });
  if (!result.failed) return Buffer.from(result.stdout);
  const said = Buffer.from(result.stderr).toString('utf8').trim().split('\n')[0] ?? '';
  const why = result.timedOut ? `took longer than ${limits.timeoutMs} ms` : said || result.shortMessage;
  const message = `git ${command[0]} in ${repository}: ${why}`;
  throw result.exitCode === undefined && !result.isMaxBuffer ? new GitUnavailable(message) : new Error(message);
}
