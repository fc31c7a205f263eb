// Makes the lab's disk, and with `states` also the states from which most tests start. The runner calls this before the tests,
// which run beside each other and need all of it.

import { image } from './image.js';
import { preparedLab } from './prepared.js';

await image();
if (process.argv.includes('states')) await (await preparedLab()).stop();
