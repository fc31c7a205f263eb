// Another commit beside this checkout: a git worktree of it, built.

import { copyFileSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';

export interface Base {
  /** The requested name, and its commit. */
  readonly name: string;
  /** The built worktree. */
  readonly tree: string;
  remove(): Promise<void>;
}

/** `say`: progress. @throws Error when there is no such commit, or it cannot be built. */
export async function baseOf(checkout: string, revision: string, say: (text: string) => void): Promise<Base> {
  const git = (...words: string[]) => execa('git', ['-C', checkout, ...words]);
  const commit = await git('rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );
  if (commit === undefined) throw new Error(`--base ${revision}: no such commit in ${checkout}`);
  const tree = mkdtempSync('/var/tmp/hotseat-bench-base-');
  const remove = async (): Promise<void> => {
    await git('worktree', 'remove', '--force', tree).catch(() => undefined);
    rmSync(tree, { recursive: true, force: true });
    await git('worktree', 'prune');
  };
  try {
    say(`building ${revision} (${commit.slice(0, 12)})`);
    await git('worktree', 'add', '--detach', '--force', tree, commit);
    await install(checkout, tree);
    // A commit that is older than the bench has this one's: it speaks to the rooms as they were then, or the build says so.
    if (!existsSync(join(tree, 'test/bench/native/protocol.ts'))) {
      cpSync(join(checkout, 'test/bench'), join(tree, 'test/bench'), { recursive: true });
    }
    await execa('npm', ['run', '--silent', 'build'], { cwd: tree });
  } catch (error) {
    await remove();
    throw new Error(`--base ${revision} cannot be built: ${(error as Error).message}`);
  }
  return { name: `${revision} (${commit.slice(0, 12)})`, tree, remove };
}

/** The packages of this checkout, where the other commit wants the same ones. */
async function install(checkout: string, tree: string): Promise<void> {
  const lock = (at: string): string => readFileSync(join(at, 'package-lock.json'), 'utf8');
  if (lock(checkout) === lock(tree)) {
    symlinkSync(join(checkout, 'node_modules'), join(tree, 'node_modules'));
    return;
  }
  if (existsSync(join(checkout, '.npmrc'))) copyFileSync(join(checkout, '.npmrc'), join(tree, '.npmrc'));
  await execa('npm', ['ci', '--no-audit', '--no-fund'], { cwd: tree });
}
