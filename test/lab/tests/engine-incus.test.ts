import { engineSuite } from './engine-suite.js';
import { fairShares } from './fair-shares.js';

const group = 'lxc.payload.incus-right';
await engineSuite('incus', { running: fairShares({ group, means: 'the keys of the Incus instance incus-right' }) });
