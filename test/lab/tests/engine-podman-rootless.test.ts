import { engineSuite } from './engine-suite.js';

await engineSuite('podman, rootless');
