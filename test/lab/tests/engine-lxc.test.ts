import { engineSuite } from './engine-suite.js';
import { fairShares } from './fair-shares.js';
import { seatSlices } from './seat-slices.js';

const group = 'lxc.payload.lxc-right';
await engineSuite('lxc', { running: fairShares({ group, means: `the files of ${group}` }), stopped: seatSlices });
