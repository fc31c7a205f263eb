// Makes the disk and boots it once, and with `states` the states from which most tests start. The runner calls this before the
// tests, which run beside each other and need all of it.

import { startLab } from './lab.js';
import { preparedLab } from './prepared.js';

const lab = await (process.argv.includes('states') ? preparedLab() : startLab());
await lab.stop();
