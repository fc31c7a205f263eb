// Makes the disk and boots it once. The runner calls this before the tests, which run beside each other and need both.

import { startLab } from './lab.js';

const lab = await startLab();
await lab.stop();
