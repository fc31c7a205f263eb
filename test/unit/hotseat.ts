import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

/** Where the sources are, seen from `dist/test/unit`. */
export const checkout = fileURLToPath(new URL('../../../', import.meta.url));

const main = fileURLToPath(new URL('../../hotseat/main.js', import.meta.url));

/** A verb as an admin runs it: its output and exit status. */
export const hotseat = async (
  ...words: readonly string[]
): Promise<{ readonly stdout: string; readonly stderr: string; readonly exitCode: number | undefined }> => {
  const result = await execa('node', [main, ...words], { reject: false, timeout: 30_000, stdin: 'ignore' });
  return { stdout: result.stdout, stderr: result.stderr, exitCode: result.exitCode };
};
