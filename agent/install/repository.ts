import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';

/** Hooks of git that run after what main stands for has changed (githooks(5)). */
const afterwards = ['post-commit', 'post-merge', 'post-rewrite', 'post-receive'];
const limit = { timeout: 30_000 };

/**
 * Makes the policy repository, ready to be committed to, with no seat in it. A directory that has anything in it is the
 * admin's and left as it is. Returns whether it was made. `source`: directory with its first files.
 */
export async function makeRepository(directory: string, source: string): Promise<boolean> {
  if (existsSync(directory) && readdirSync(directory).length > 0) return false;
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, 0o755);
  const git = (...command: string[]) => execa('git', ['-C', directory, ...command], limit);
  await git('init', '--quiet', '--initial-branch=main');
  for (const name of ['host.yaml', 'seat.yaml.example']) {
    writeFileSync(join(directory, name), readFileSync(join(source, name)), { mode: 0o644 });
  }
  // A push from elsewhere goes into the work tree as well; git refuses it while that has changes (git-config(1)).
  await git('config', 'receive.denyCurrentBranch', 'updateInstead');
  const known = await execa('git', ['config', '--global', 'user.email'], { ...limit, reject: false });
  if (known.stdout === '') {
    // Without a name git refuses to commit, and an admin at the console should not have to learn that first.
    await git('config', 'user.name', 'root');
    await git('config', 'user.email', `root@${hostname()}`);
  }
  await git('add', '--all');
  const author = ['-c', 'user.name=Hotseat', '-c', `user.email=root@${hostname()}`];
  await git(...author, 'commit', '--quiet', '--no-verify', '--message', "No seats yet: every device is the host's");
  const hooks = join(directory, '.git/hooks');
  mkdirSync(hooks, { recursive: true });
  const hook = (name: string, file: string): void => {
    copyFileSync(join(source, file), join(hooks, name));
    chmodSync(join(hooks, name), 0o755);
  };
  hook('pre-commit', 'pre-commit');
  for (const name of afterwards) hook(name, 'took-effect');
  return true;
}
