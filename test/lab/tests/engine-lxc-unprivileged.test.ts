import { engineSuite } from './engine-suite.js';

await engineSuite('lxc, unprivileged');
