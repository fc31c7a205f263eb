import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/**
 * Runs the calling test file (its `import.meta.url`) once more in namespaces of its own and ends with that run's
 * status; returns at once in there. `namespaces`: options of unshare(1), such as `--net`.
 */
export function unshared(file: string, ...namespaces: readonly string[]): void {
  if (process.env['HOTSEAT_TEST_INNER'] !== undefined) return;
  const inner = ['--propagation', 'private', process.execPath, '--enable-source-maps', fileURLToPath(file)];
  const { status } = spawnSync('unshare', [...namespaces, '--mount', ...inner], {
    stdio: 'inherit',
    env: { ...process.env, HOTSEAT_TEST_INNER: '1' },
  });
  process.exit(status ?? 1);
}
