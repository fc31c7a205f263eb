// No test of its own: hang.test.ts runs it, to see the report about a file that never ends.

import { preparedLab } from '../driver/prepared.js';
import { test } from '../driver/test.js';

const lab = await preparedLab();

test('this one hangs', async () => {
  if (process.env['GUEST'] === 'stopped') await lab.machine.qmp.run('stop');
  await lab.until('what never comes', async () => false, 3_600_000);
});

test.after(() => lab.stop());
test.run();
