import { engineSuite } from './engine-suite.js';
import { forbiddingSlice } from './forbidding-slice.js';

await engineSuite('nspawn, private users', { running: forbiddingSlice });
