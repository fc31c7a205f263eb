import * as assert from 'uvu/assert';
import { script } from '../driver/engine-variants.js';
import { test } from '../driver/test.js';
import { attachedAgain } from './attached-again.js';
import { engineSuite, type Suite } from './engine-suite.js';
import { fairShares } from './fair-shares.js';

const unit = 'systemd-nspawn@nspawn-right.service';
// systemd-nspawn@.service has TasksMax=16384.
const shares = fairShares({ group: `machine.slice/${unit}`, means: `systemd's properties of ${unit}`, bound: '16384' });

/** Its init calls reboot(2). The service starts the next one in the same group (RestartForceExitStatus=133). */
function rebooted({ lab, engine, variant, first }: Suite): void {
  const { title } = variant;

  test(`${title}: a container that reboots has its devices again, and nothing is left of the one before`, async () => {
    const name = engine.name('left');
    const before = engine.init('left');
    const groupOf = (pid: string) => lab.sh(`sed -n 's/^0:://p' /proc/${pid}/cgroup`);
    const group = await groupOf(before);
    await lab.sh(`machinectl reboot ${name}`);
    const isNext = async (): Promise<boolean> => {
      const pid = await script(lab, name, `${variant.pid} || true`);
      return /^\d+$/.test(pid) && pid !== before && (await engine.seat('left'))?.state === 'running';
    };
    await lab.until('the next init', isNext, 90_000);
    await engine.start('left');
    assert.is(await groupOf(engine.init('left')), group, 'else this shows nothing');
    assert.is(await lab.sh(`test -e /proc/${before} || echo gone`), 'gone');
    for (const [kind, node] of first) {
      assert.is(await engine.newNode('left', kind), node);
      await engine.has('left', node);
      const theft = await engine.stealing('right', await engine.numberOf(node));
      assert.equal(theft, { made: false, opened: false, control: true });
    }
    assert.is((await engine.seat('left'))?.problem, undefined);
  });
}

await engineSuite('nspawn', {
  running: (suite) => {
    attachedAgain(suite);
    shares(suite);
    rebooted(suite);
  },
});
