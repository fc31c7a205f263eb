import * as assert from 'uvu/assert';
import type { Lab } from '../driver/lab.js';

const groupOf = (container: string): string => `/sys/fs/cgroup/lxc.payload.${container}`;

/** Counts changes of a container's group: it is frozen by nothing that is not seen here. */
const watch = (container: string): string => `
  const { watch } = require('node:fs');
  let count = 0;
  watch('${groupOf(container)}/cgroup.events', () => console.log(++count));
  console.log('watching');`;

/** Watches an LXC container; what this gives asserts that it was never frozen since, and that a freeze would have been seen. */
export async function freezing(lab: Lab, container: string): Promise<() => Promise<void>> {
  const watching = lab.start(['node', '-e', watch(container)]);
  await lab.until('it to watch', async () => watching.stdout.includes('watching'));
  return async () => {
    assert.is(watching.stdout.trim(), 'watching', 'the container was never frozen');
    const file = `${groupOf(container)}/cgroup.freeze`;
    await lab.sh(`echo 1 > ${file}; sleep 0.2; echo 0 > ${file}`);
    await lab.until('that to be seen', async () => watching.stdout.trim() !== 'watching', 10_000);
    await watching.kill();
  };
}
