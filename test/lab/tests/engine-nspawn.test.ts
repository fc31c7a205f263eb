import { engineSuite } from './engine-suite.js';
import { forbiddingSlice } from './forbidding-slice.js';

await engineSuite('nspawn', { running: forbiddingSlice });
