import { attachedAgain } from './attached-again.js';
import { engineSuite } from './engine-suite.js';
import { fairShares } from './fair-shares.js';

const unit = 'systemd-nspawn@nspawn-right.service';
// systemd-nspawn@.service has TasksMax=16384.
const shares = fairShares({ group: `machine.slice/${unit}`, means: `systemd's properties of ${unit}`, bound: '16384' });
await engineSuite('nspawn', {
  running: (suite) => {
    attachedAgain(suite);
    shares(suite);
  },
});
