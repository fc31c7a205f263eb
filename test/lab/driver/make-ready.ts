// Makes everything that the lab's tests start from: the disk, the booted state and the prepared ones. The runner calls
// it once, so that the tests, which run beside each other, find all of it made.

import { preparedEngines, preparedLab } from './prepared.js';

for (const start of [preparedLab, preparedEngines]) {
  const lab = await start();
  await lab.stop();
}
