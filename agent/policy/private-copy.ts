import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { git, TooMuch } from './git-command.js';

/** Below a directory that only root reads; one directory in it for each copy that is in use. */
export const copies = '/var/lib/hotseat/copies';

/** Copies of a killed agent are removed once, before the first new copy. */
let swept = false;

/**
 * A bare repository of root's own with objects of somebody else's. git-cat-file(1) and its like believe the name under
 * which an object lies, and the owner of a repository may put other content there, even between two looks.
 * git-index-pack(1) computes each name from the content. So every object here matches its name. No graft, shallow
 * boundary, replacement or setting of the other repository is here.
 */
export interface PrivateCopy {
  readonly directory: string;
  /** Brings these objects. Throws when the other repository does not have them, or has other content in their place. */
  readonly bring: (objects: readonly string[]) => Promise<void>;
}

/** Hands over a private copy of one commit and of all commits before it, without their files; removes it at the end. */
export async function withPrivateCopy<T>(
  repository: string,
  commit: string,
  place: string,
  use: (copy: PrivateCopy) => Promise<T>,
): Promise<T> {
  if (!swept) rmSync(place, { recursive: true, force: true });
  swept = true;
  mkdirSync(place, { recursive: true, mode: 0o700 });
  const directory = mkdtempSync(join(place, 'copy-'));
  try {
    const format = commit.length === 64 ? 'sha256' : 'sha1';
    await git(directory, ['init', '--quiet', '--bare', '--template=', `--object-format=${format}`]);
    const bring = (objects: readonly string[]) => transfer(repository, directory, objects);
    // A signature is read from the bytes of a commit: they have to be those of one (git-fsck(1)).
    await transfer(repository, directory, [commit], ['--revs', '--filter=tree:0'], ['--fsck-objects']).catch(
      (error) => {
        throw error instanceof TooMuch ? tooLong(repository, commit, error) : error;
      },
    );
    return await use({ directory, bring });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The history of a policy is some hundred bytes a commit; as long as that of a program it need not be. */
const tooLong = (repository: string, commit: string, cause: Error): Error =>
  new Error(
    `the commits before ${commit} are too many to be checked (${cause.message}): let ${repository} be a shallow clone that ` +
      'still has the commit that was confirmed last (git clone --depth, git fetch --depth)',
    { cause },
  );

/**
 * git-pack-objects(1) runs where the objects are with the settings of every other command, unlike git-upload-pack(1), of
 * which git-fetch(1) starts one through a shell with the repository's settings. Its answer is bounded, and so is the disk.
 */
async function transfer(
  from: string,
  to: string,
  objects: readonly string[],
  which: readonly string[] = [],
  checks: readonly string[] = [],
): Promise<void> {
  if (objects.length === 0) return;
  const names = objects.map((object) => `${object}\n`).join('');
  // No deltas: none of the repository's own has to be believed and worked out.
  const whole = ['--window=0', '--no-reuse-delta', '--threads=1', '--no-use-bitmap-index', '--quiet'];
  const pack = await git(from, ['pack-objects', '--stdout', ...whole, ...which], names, streamed);
  // The copy is gone before the next boot: no need to wait for the disk.
  await git(to, ['index-pack', '--stdin', '--threads=1', ...checks], pack, [...streamed, 'core.fsync=none']);
  const there = (await git(to, ['cat-file', '--batch-check'], names)).toString('latin1').split('\n');
  const missing = there.find((line) => line.endsWith(' missing'))?.split(' ')[0];
  if (missing !== undefined) throw new Error(`${from}: object ${missing} does not match its name: run git fsck`);
}

/** Objects beyond this size are not held in memory. */
const streamed = ['core.bigFileThreshold=1m'];
