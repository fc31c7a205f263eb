import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const start = async (): Promise<void> => (await import('../../cli/main.js')).main(process.argv.slice(2));

/** Loads the daemon, and checks a seat file. */
export async function warm(): Promise<void> {
  await import('../../main.js');
  const { main } = await import('../../cli/main.js');
  const directory = mkdtempSync(join(tmpdir(), 'hotseat-warm-'));
  try {
    const example = join(import.meta.dirname, '../../rules/policies/seat.yaml.example');
    copyFileSync(example, join(directory, 'left.yaml'));
    await main(['check', directory]);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
