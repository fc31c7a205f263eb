import { execa } from 'execa';

const limit = { timeout: 60_000, stdin: 'ignore' } as const;

/**
 * Whether a file is in a git work tree and as it was committed; false where there is no repository. The admin's own
 * command does this in the admin's own repository, hooks included; the agent reads commits by policy/git.ts alone.
 * @throws when it has changes that a commit would take along
 */
export async function isClean(directory: string, file: string): Promise<boolean> {
  const inside = await execa('git', ['-C', directory, 'rev-parse', '--is-inside-work-tree'], {
    ...limit,
    reject: false,
  });
  if (inside.stdout !== 'true') return false;
  const { stdout } = await execa('git', ['-C', directory, 'status', '--porcelain', '--', file], limit);
  if (stdout !== '') throw new Error(`${file} has changes that are not committed: commit them or take them back first`);
  return true;
}

/** Commits one file, and nothing else that may be staged. */
export async function commitFile(directory: string, file: string, message: string): Promise<void> {
  const result = await execa('git', ['-C', directory, 'commit', '--quiet', '--message', message, '--', file], {
    ...limit,
    reject: false,
    all: true,
  });
  if (result.failed) throw new Error(`git did not commit ${file}, which is changed: ${result.all}`);
}
