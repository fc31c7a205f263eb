// The states from which lab tests start. Each is made once for a checkout and kept.

import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bootWithTwoOutputs, type Lab, type Prepared, startLab } from './lab.js';
import { checkout, guestFiles } from './paths.js';
import { startAgent } from './service.js';

/** The agent running, and all that is needed to run containers in every engine; none of them runs yet. */
const withAgent = async (): Promise<Prepared> => ({
  key: `agent-${await checkoutHash()}`,
  prepare: async (lab) => {
    await lab.deploy();
    await putEngineFiles(lab);
    await startAgent(lab);
  },
});

/** The same, and both LXC containers up with their screens. */
const withSeats = async (): Promise<Prepared> => ({
  key: `seats-${await checkoutHash()}`,
  on: await withAgent(),
  prepare: async (lab) => {
    await lab.startContainers();
    await lab.startScreens();
  },
});

export const preparedEngines = async (): Promise<Lab> => startLab(await withAgent());

export const preparedLab = async (): Promise<Lab> => startLab(await withSeats());

/** Both LXC containers up with their screens on a PC of which one card has a second output. */
export async function labWithTwoOutputs(): Promise<Lab> {
  const lab = await bootWithTwoOutputs();
  await lab.deploy();
  await startAgent(lab);
  await lab.startContainers();
  await lab.startScreens();
  return lab;
}

/** The files that `engine-variants.ts` needs in the guest. */
export async function putEngineFiles(lab: Lab): Promise<void> {
  for (const file of await readdir(join(guestFiles, 'engines'))) {
    await lab.putFile(`/opt/engines/${file}`, await readFile(join(guestFiles, 'engines', file)), 0o755);
  }
}

/** Changes with everything that deploy() brings into the guest. */
async function checkoutHash(): Promise<string> {
  const hash = createHash('sha256');
  for (const root of [
    'dist/hotseat',
    'dist/test/lab/driver',
    'rules',
    'policies',
    'test/lab/guest',
    'package-lock.json',
  ]) {
    const path = join(checkout, root);
    const below = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => undefined);
    const files = below?.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)) ?? [path];
    for (const file of files.sort()) {
      if (file.endsWith('.map')) continue;
      hash.update(`\0${file.slice(checkout.length)}\0`).update(await readFile(file).catch(() => ''));
    }
  }
  return hash.digest('hex').slice(0, 12);
}
