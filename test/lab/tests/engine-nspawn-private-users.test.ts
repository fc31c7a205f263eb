import { attachedAgain } from './attached-again.js';
import { engineSuite } from './engine-suite.js';

await engineSuite('nspawn, private users', { running: attachedAgain });
