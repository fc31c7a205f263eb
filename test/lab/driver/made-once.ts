// A directory that several processes need and one of them makes.

import { readFile, rm, writeFile } from 'node:fs/promises';
import { exists } from './image.js';
import { step } from './progress.js';

const lookEveryMs = 200;

/** Calls `make`, which makes `dir`, unless it is there; while another process does so, waits for that. */
export async function madeOnce(dir: string, make: () => Promise<void>): Promise<void> {
  const lock = `${dir}.lock`;
  while (!(await exists(dir))) {
    const mine = await writeFile(lock, String(process.pid), { flag: 'wx' }).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
        return false;
      },
    );
    if (!mine) await step(`waiting for another process, which makes ${dir}`, () => unlocked(lock));
    else {
      try {
        if (!(await exists(dir))) await make();
      } finally {
        await rm(lock, { force: true });
      }
    }
  }
}

/** Resolves when the lock is gone. One whose process has died is taken away. */
async function unlocked(lock: string): Promise<void> {
  for (;;) {
    const owner = await readFile(lock, 'utf8').catch(() => undefined);
    if (owner === undefined) return;
    if (owner !== '' && !(await exists(`/proc/${owner}`))) {
      await rm(lock, { force: true });
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
}
