import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { formatDiagnostic } from './diagnostics.js';
import { type Loaded, largest, problem, seatFileName, type Text, textOf, tooLarge, tooMany } from './files.js';
import { GitUnavailable, git } from './git-command.js';
import { compose } from './load.js';
import { copies, withPrivateCopy } from './private-copy.js';

/** Where the policy comes from: a repository, which its owner may have filled with anything, and a ref of it. */
export interface GitSource {
  readonly repository: string;
  readonly ref: string;
  /** ssh-keygen(1) ALLOWED SIGNERS; when given, only commits that one of them signed are taken. */
  readonly signers: string | undefined;
}

/** The commit that a ref of the repository, or any other name of a commit, stands for now. */
export async function resolveCommit({ repository, ref }: GitSource): Promise<string> {
  const answer = await git(repository, ['rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`]);
  const commit = answer.toString('latin1').trim();
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(commit)) throw new Error(`${ref} names no commit of ${repository}`);
  return commit;
}

/**
 * Whether a commit is the other one or among its ancestors, which is asked of a private copy. Throws when the repository
 * does not have as much of the history as the answer needs.
 */
export async function isAncestor(
  repository: string,
  ancestor: string,
  commit: string,
  place = copies,
): Promise<boolean> {
  return withPrivateCopy(repository, commit, place, async ({ directory }) => {
    const known = await git(directory, ['cat-file', '--batch-check'], `${ancestor}\n`);
    if (known.toString('latin1').endsWith(' missing\n')) {
      // It is none of those that are here; this fails where they are not all.
      await git(directory, ['rev-list', '--count', '--end-of-options', commit]);
      return false;
    }
    // Earlier commits do not matter, and a shallow clone need not have them.
    writeFileSync(join(directory, 'shallow'), `${ancestor}\n`);
    const rest = await git(directory, ['rev-list', '--max-count=1', '--end-of-options', ancestor, `^${commit}`]);
    return rest.length === 0;
  });
}

/**
 * The seat files of one commit as a policy: all of them or none. No work tree, index, hook or filter takes part. With
 * signers, the signature is checked and the files are read in a private copy. Only the signed commit is copied.
 */
export async function loadCommit(source: GitSource, commit: string, host: string, place = copies): Promise<Loaded> {
  const { repository, signers } = source;
  if (signers === undefined) return load(repository, commit, host);
  return withPrivateCopy(repository, commit, place, async ({ directory, bring }) => {
    await verify(directory, commit, signers);
    const tree = await git(directory, ['log', '--max-count=1', '--format=%T', '--end-of-options', commit]);
    await bring([tree.toString('latin1').trim()]);
    const files = (await entries(directory, commit)).filter(({ name, plain }) => plain && seatFileName(name) === name);
    await bring([...new Set(files.map(({ object }) => object))]);
    return load(directory, commit, host);
  });
}

async function load(repository: string, commit: string, host: string): Promise<Loaded> {
  const wanted: { name: string; object: string }[] = [];
  const diagnostics = [];
  for (const { name, object, size, plain } of await entries(repository, commit)) {
    const fit = seatFileName(name);
    if (fit === undefined) continue;
    if (typeof fit !== 'string') diagnostics.push(fit);
    else if (!plain) diagnostics.push(problem(name, 'is no plain file', 'commit the file itself'));
    // ls-tree goes on over an object that it cannot find; a policy without that seat is not the committed one.
    else if (size === 'BAD') diagnostics.push(problem(name, 'its object is missing', 'run git fsck, fetch it again'));
    else if (Number(size) > largest) diagnostics.push(tooLarge(name, Number(size)));
    else wanted.push({ name, object });
  }
  const many = tooMany(wanted.length);
  if (many !== undefined) diagnostics.push(many);
  if (diagnostics.length > 0) return { ok: false, diagnostics };
  const texts: Text[] = [];
  for (const { name, bytes } of await blobs(repository, wanted)) {
    const text = textOf(name, bytes);
    if (typeof text === 'string') texts.push({ name, text });
    else diagnostics.push(text);
  }
  return diagnostics.length > 0 ? { ok: false, diagnostics } : compose(texts, commit, host);
}

/** The entries at the top of a commit; `size` in bytes, `-` for a directory and BAD without the object. */
async function entries(repository: string, commit: string) {
  const tree = (await git(repository, ['ls-tree', '-z', '-l', '--full-tree', commit])).toString('utf8');
  const lines = tree.split('\0').filter((text) => text !== '');
  return lines.map((line) => {
    const [, mode, object, size, name] = /^(\d+) \w+ ([0-9a-f]+) +(\d+|-|BAD)\t(.*)$/s.exec(line) ?? [];
    if (mode === undefined || object === undefined || name === undefined) throw new Error(`git ls-tree said ${line}`);
    return { name, object, size, plain: /^100(644|755)$/.test(mode) };
  });
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

/**
 * Only SSH signatures count: each program that the repository could name for another kind is a program that says no.
 */
async function verify(repository: string, commit: string, signers: string): Promise<void> {
  const programs = ['gpg.program=false', 'gpg.openpgp.program=false', 'gpg.x509.program=false'];
  const ssh = ['gpg.format=ssh', 'gpg.ssh.program=ssh-keygen', 'gpg.minTrustLevel=fully'];
  const files = [`gpg.ssh.allowedSignersFile=${resolve(signers)}`, 'gpg.ssh.revocationFile='];
  try {
    await git(repository, ['verify-commit', commit], undefined, [...programs, ...ssh, ...files]);
  } catch (error) {
    if (error instanceof GitUnavailable) throw error;
    throw new Error(`commit ${commit} is not signed by a key in ${signers}: sign it, or add the key`, { cause: error });
  }
}
